"""Records by id, from files of several kinds that are told apart by their content.

    file A ─► kind ─► rows ─► records ─┐
                                       ├─► one record for each id
    file B ─► kind ─► rows ─► records ─┘

Files add to each other: an id exists if any of them has it, and the first
known value of a field wins, in the order of the files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

from batch.errors import InputError
from batch.records.kinds import Kind, kind_of
from batch.records.rows import ID, text_lines


class Record(Protocol):
    """What is known of one id."""

    def or_else(self, other: Self) -> Self:
        """Return this record, what it lacks taken from `other`."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Source:
    """What was read from one file.

    Attributes:
        path: The file.
        kind: As what it was read.
        n_items: Different ids in it, of items or of users.
        n_rejected: Entries without a usable id.
    """

    path: Path
    kind: str
    n_items: int
    n_rejected: int


def read_records(
    paths: Sequence[Path], kinds: Sequence[Kind[R]], is_id: Callable[[str], bool]
) -> tuple[dict[str, R], tuple[Source, ...]]:
    """Return the records of all files by id, and what came from where.

    Raises:
        InputError: A file cannot be read, is of no known kind, or holds
            nothing usable.
    """
    records: dict[str, R] = {}
    sources = []
    for path in paths:
        kind = kind_of(path, kinds)
        found, n_rejected = _read(path, kind, is_id)
        sources.append(Source(path, kind.name, len(found), n_rejected))
        if records:
            for name, record in found.items():
                _add(records, name, record)
        else:
            records = found
    return records, tuple(sources)


def _read(path: Path, kind: Kind[R], is_id: Callable[[str], bool]) -> tuple[dict[str, R], int]:
    records: dict[str, R] = {}
    n_rejected = 0
    for row in kind.rows(text_lines(path)):
        name = _id(row.get(ID))
        if is_id(name):
            _add(records, name, kind.record(row))
        else:
            n_rejected += 1
    if not records:
        what = f"has no entry with a usable id, read as {kind.name}"
        raise InputError(path, what, f"expected were lines like {kind.form}")
    return records, n_rejected


def _add(records: dict[str, R], name: str, record: R) -> None:
    known = records.get(name)
    records[name] = record if known is None else known.or_else(record)


def _id(value: object) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole or isinstance(value, str) else ""
