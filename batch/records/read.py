"""Records by id, from files of several kinds that are recognized by their content.

    file A ─► kind ─► rows ─► records ─┐
                                       ├─► one record for each id
    file B ─► kind ─► rows ─► records ─┘

Files complement each other: an id exists if any file has it, and the first known value
of a field wins, in the order of the files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from batch.errors import UnreadKindError
from batch.files.archives import open_readable
from batch.files.input_file import InputFile
from batch.records.kinds import RecordKind, kind_of
from batch.records.rows import ID, text_lines
from batch.sql.source import DatabaseInput


class Record(Protocol):
    """Fields of one id."""

    def or_else(self, other: Self) -> Self:
        """Return this record, its missing fields filled from `other`."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of records that was read.

    Attributes:
        path: Path of the file, or the table or query.
        kind: Name of its kind.
        n_ids: Number of distinct ids of items or users.
        n_rejected: Number of entries without a valid id.
        member: Name in the archive that it is in; empty for a file of its own.
    """

    path: Path | DatabaseInput
    kind: str
    n_ids: int
    n_rejected: int
    member: str = ""


class FoundRecords(NamedTuple, Generic[R]):
    """Records of all files.

    Attributes:
        records: Records by id.
        sources: Files, in the order in which they were read.
        not_read: Reason why each other member of an archive was not read, by its name.
    """

    records: dict[str, R]
    sources: tuple[RecordFile, ...]
    not_read: dict[str, str]


def read_records(
    paths: Sequence[Path | DatabaseInput],
    kinds: Sequence[RecordKind[R]],
    is_id: Callable[[str], bool],
) -> FoundRecords[R]:
    """Return the records of all files.

    Args:
        paths: Files of records, plain or packed, archives of them, tables and queries.
        kinds: Kinds that are recognized; of several matches the first one counts.
        is_id: Function that decides whether an id is valid.

    Raises:
        InputError: A file cannot be read, is of no known kind, or has no
            entry with a valid id.
    """
    records: dict[str, R] = {}
    sources = []
    not_read: dict[str, str] = {}
    for path in paths:
        opened, left_out = _open_each(path, kinds, is_id)
        not_read |= left_out
        for found, source in opened:
            sources.append(source)
            if records:
                for name, record in found.items():
                    _add(records, name, record)
            else:
                records = found
    return FoundRecords(records, tuple(sources), not_read)


def _open_each(
    path: Path | DatabaseInput, kinds: Sequence[RecordKind[R]], is_id: Callable[[str], bool]
) -> tuple[list[tuple[dict[str, R], RecordFile]], dict[str, str]]:
    if isinstance(path, DatabaseInput):
        return [_read(path, kinds, is_id)], {}
    return open_readable(path, lambda file: _read(file, kinds, is_id))


def _read(
    file: InputFile | DatabaseInput, kinds: Sequence[RecordKind[R]], is_id: Callable[[str], bool]
) -> tuple[dict[str, R], RecordFile]:
    kind = kind_of(file, kinds)
    records: dict[str, R] = {}
    n_rejected = 0
    for row in kind.rows(text_lines(file)):
        name = _id(row.get(ID))
        if is_id(name):
            _add(records, name, kind.record(row))
        else:
            n_rejected += 1
    if not records:
        problem = f"has no entry with a usable id, read as {kind.name}"
        raise UnreadKindError(file, problem, f"give lines like {kind.form}")
    return records, RecordFile(file.path, kind.name, len(records), n_rejected, file.member_name)


def _add(records: dict[str, R], name: str, record: R) -> None:
    known = records.get(name)
    records[name] = record if known is None else known.or_else(record)


def _id(value: object) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole or isinstance(value, str) else ""
