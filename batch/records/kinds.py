"""Kinds of record files: how each is recognized by its first lines and made into records."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from batch.errors import UnreadKindError
from batch.files.input_file import AnyFile
from batch.files.open import head_lines
from batch.records.rows import ID, Row, csv_columns, csv_rows, json_rows
from batch.sql.lines import header_line
from batch.sql.source import DatabaseInput

R = TypeVar("R")

_SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class RecordKind(Generic[R]):
    """A kind of record file.

    Attributes:
        name: Name in messages and in the manifest.
        form: An example line, for messages.
        matches: Function of a file's first lines without blank ones, at least one: whether
            the file is of this kind.
        rows: Parser of lines.
        record: Function that makes a record from a row.
    """

    name: str
    form: str
    matches: Callable[[Sequence[str]], bool]
    rows: Callable[[Iterable[str]], Iterator[Row]]
    record: Callable[[Row], R]


def json_kind(name: str, form: str, id_field: str, record: Callable[[Row], R]) -> RecordKind[R]:
    """Return the kind of JSON lines whose objects have their id in `id_field`."""
    rows = partial(json_rows, id_field=id_field)
    return RecordKind(name, form, any_line_like(r"\s*\{"), rows, record)


def csv_kind(
    name: str,
    form: str,
    id_columns: Collection[str],
    foreign_columns: Collection[str],
    record: Callable[[Row], R],
) -> RecordKind[R]:
    """Return the kind of CSV with one of `id_columns` (lower case) in its header.

    A file that also has one of `foreign_columns` is of another kind: interactions have
    users and items.
    """

    def matches(head: Sequence[str]) -> bool:
        columns = csv_columns(head[0], id_columns)
        return ID in columns and not set(columns) & set(foreign_columns)

    return RecordKind(name, form, matches, partial(csv_rows, id_columns=id_columns), record)


def any_line_like(pattern: str) -> Callable[[Sequence[str]], bool]:
    """Return a function: whether any of the first lines begins with `pattern`.

    Any, not the first one: a broken line must not hide the kind of the file.
    """
    match = re.compile(pattern).match
    return lambda head: any(match(line) for line in head)


def kind_of(file: AnyFile | DatabaseInput, kinds: Sequence[RecordKind[R]]) -> RecordKind[R]:
    """Return the first of `kinds` that a file's first lines match.

    Raises:
        InputError: The file cannot be read.
        UnreadKindError: It is empty, or of no known kind.
    """
    lines = [header_line(file)] if isinstance(file, DatabaseInput) else head_lines(file)
    head = [line for line in lines if line.strip()] or [""]
    for kind in kinds:
        if kind.matches(head):
            return kind
    known = "; ".join(f"{kind.name}: {kind.form}" for kind in kinds)
    raise UnreadKindError(
        file,
        f"is of no known kind: it begins with {_shortened(head[0])}",
        f"give one of these: {known}",
    )


def _shortened(line: str) -> str:
    more = "…" if len(line) > _SHOWN_CHARACTERS else ""
    return f"{line[:_SHOWN_CHARACTERS]!r}{more}"  # repr, as it may be binary
