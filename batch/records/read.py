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
from typing import Protocol, Self, TypeVar

from batch.errors import InputError
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
    """

    path: Path | DatabaseInput
    kind: str
    n_ids: int
    n_rejected: int


def read_records(
    paths: Sequence[Path | DatabaseInput],
    kinds: Sequence[RecordKind[R]],
    is_id: Callable[[str], bool],
) -> tuple[dict[str, R], tuple[RecordFile, ...]]:
    """Return the records of all files by id, and the files.

    Args:
        paths: Files of records, plain or gzip, tables or queries.
        kinds: Kinds that are recognized; of several matches the first one counts.
        is_id: Function that decides whether an id is valid.

    Raises:
        InputError: A file cannot be read, is of no known kind, or has no
            entry with a valid id.
    """
    records: dict[str, R] = {}
    sources = []
    for path in paths:
        kind = kind_of(path, kinds)
        found, n_rejected = _read(path, kind, is_id)
        sources.append(RecordFile(path, kind.name, len(found), n_rejected))
        if records:
            for name, record in found.items():
                _add(records, name, record)
        else:
            records = found
    return records, tuple(sources)


def _read(
    path: Path | DatabaseInput, kind: RecordKind[R], is_id: Callable[[str], bool]
) -> tuple[dict[str, R], int]:
    records: dict[str, R] = {}
    n_rejected = 0
    for row in kind.rows(text_lines(path)):
        name = _id(row.get(ID))
        if is_id(name):
            _add(records, name, kind.record(row))
        else:
            n_rejected += 1
    if not records:
        problem = f"has no entry with a usable id, read as {kind.name}"
        raise InputError(path, problem, f"give lines like {kind.form}")
    return records, n_rejected


def _add(records: dict[str, R], name: str, record: R) -> None:
    known = records.get(name)
    records[name] = record if known is None else known.or_else(record)


def _id(value: object) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole or isinstance(value, str) else ""
