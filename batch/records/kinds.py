"""Kinds of record files: how one is told by its first lines, parsed, and made into records."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from batch.errors import InputError
from batch.files import head_lines
from batch.records.rows import ID, Row, csv_columns, csv_rows, json_rows

R = TypeVar("R")

_SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """One form that a file may have.

    Attributes:
        name: For messages and for the manifest.
        form: One line of it, for messages.
        fits: Tells from a file's first lines, blank ones left out; at least one.
        rows: Parses lines.
        record: Makes a record of a row.
    """

    name: str
    form: str
    fits: Callable[[Sequence[str]], bool]
    rows: Callable[[Iterable[str]], Iterator[Row]]
    record: Callable[[Row], R]


def json_kind(name: str, form: str, id_field: str, record: Callable[[Row], R]) -> Kind[R]:
    """Return the kind of JSON lines whose objects have their id in `id_field`."""
    rows = partial(json_rows, id_field=id_field)
    return Kind(name, form, any_line_like(r"\s*\{"), rows, record)


def csv_kind(
    name: str,
    form: str,
    id_columns: Collection[str],
    foreign_columns: Collection[str],
    record: Callable[[Row], R],
) -> Kind[R]:
    """Return the kind of CSV with one of `id_columns` (lower case) in its header.

    With one of `foreign_columns` beside it the file is about something else:
    interactions name users and items both.
    """

    def fits(head: Sequence[str]) -> bool:
        columns = csv_columns(head[0], id_columns)
        return ID in columns and not set(columns) & set(foreign_columns)

    return Kind(name, form, fits, partial(csv_rows, id_columns=id_columns), record)


def any_line_like(pattern: str) -> Callable[[Sequence[str]], bool]:
    """Return a test whether one of the first lines begins with `pattern`.

    One, not the first: a broken line must not hide what the file is.
    """
    match = re.compile(pattern).match
    return lambda head: any(match(line) for line in head)


def kind_of(path: Path, kinds: Sequence[Kind[R]]) -> Kind[R]:
    """Return the first of `kinds` that a file's first lines fit.

    Raises:
        InputError: The file cannot be read, is empty, or fits none.
    """
    head = [line for line in head_lines(path) if line.strip()] or [""]
    for kind in kinds:
        if kind.fits(head):
            return kind
    known = "; ".join(f"{kind.name}: {kind.form}" for kind in kinds)
    raise InputError(path, f"begins with {_shortened(head[0])}", f"the known kinds are {known}")


def _shortened(line: str) -> str:
    more = "…" if len(line) > _SHOWN_CHARACTERS else ""
    return f"{line[:_SHOWN_CHARACTERS]!r}{more}"  # repr: it may be binary
