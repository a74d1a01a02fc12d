"""Records by id, from files of several forms that are recognized by their content.

    file A ─► form ─► rows ─► records ─┐
                                       ├─► one record for each id
    file B ─► form ─► rows ─► records ─┘

Files complement each other: an id exists if any file has it, and the first known value
of a field wins, in the order of the files.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar

import pyarrow as pa

from batch.columns.ids import IdForm, id_form, whole_text
from batch.columns.roles import plain_name, shown_names
from batch.errors import UnreadKindError
from batch.files.archives import open_readable
from batch.files.input_file import AnyFile, InputFile
from batch.files.open import head_lines
from batch.records.fields import text
from batch.records.forms import N_HEAD, Form, Headless, form_of
from batch.records.naming import ID, FieldNames, RecordColumns, flag_columns
from batch.records.rows import Row

_SHOWN_CHARACTERS: Final = 60


class Record(Protocol):
    """Fields of one id."""

    def or_else(self, other: Self) -> Self:
        """Return this record, its missing fields filled from `other`."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class RecordKind(Generic[R]):
    """A kind of records: of items, or of users.

    Attributes:
        noun: Word for the owner of a record, in messages.
        names: Names of columns.
        is_id: Function that decides whether an id is valid.
        maker: Function of a file's columns; it returns the function that makes a record.
        headless: Known forms of files without a header.
        header: Example of a header, for messages.
        line: Example of a JSON line, for messages.
        attributes: Attribute of a record that a field gives, if its name differs.
        flags: Field that columns of 0 and 1 stand for; empty if there is none.
    """

    noun: str
    names: FieldNames
    is_id: Callable[[str], bool]
    maker: Callable[[RecordColumns], Callable[[Row], R]]
    headless: Sequence[Headless]
    header: str
    line: str
    attributes: Mapping[str, str]
    flags: str = ""

    def with_ids_in(self, column: str | None) -> "RecordKind[R]":
        """Return the kind whose ids are in this column, where a file has it."""
        if column is None:
            return self
        names, others = self.names, (*self.names.ids, *self.names.nouns)
        return replace(self, names=replace(names, ids=(plain_name(column),), nouns=others))

    @property
    def forms(self) -> tuple[str, ...]:
        """All known forms, for messages."""
        headless = (f"{form.name}: {form.example}" for form in self.headless)
        return f"a header such as {self.header}", f"JSON such as {self.line}", "Parquet", *headless


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of records that was read.

    Attributes:
        path: Path of the file.
        kind: Name of its form.
        n_ids: Number of distinct ids of items or users.
        n_rejected: Number of entries without a valid id.
        member: Name in the archive that it is in; empty for a file of its own.
        columns: Names of its columns.
        notes: Sentences about what it was read as.
        warnings: Sentences about what may have been misread.
        fields: Name of the column of each field that is read, the id among them.
    """

    path: Path
    kind: str
    n_ids: int
    n_rejected: int
    member: str = ""
    columns: Sequence[str] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)


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


def read_records(paths: Iterable[AnyFile], kind: RecordKind[R]) -> FoundRecords[R]:
    """Return the records of all files.

    Args:
        paths: Files of records, plain or packed, and archives of them.
        kind: Kind of the records.

    Raises:
        InputError: A file cannot be read, is of no known form, has other content, or has
            no entry with a valid id.
    """
    records: dict[str, R] = {}
    sources = []
    not_read: dict[str, str] = {}
    for path in paths:
        opened, left_out = open_readable(path, lambda file: _read(file, kind))
        not_read |= left_out
        for found, source in opened:
            sources.append(source)
            if records:
                for name, record in found.items():
                    _add(records, name, record)
            else:
                records = found
    return FoundRecords(records, tuple(sources), not_read)


def _read(file: InputFile, kind: RecordKind[R]) -> tuple[dict[str, R], RecordFile]:
    form = _checked_form(file, kind)
    rows, columns = form.rows(), form.columns
    head = list(itertools.islice(rows, N_HEAD))
    if kind.flags and kind.flags not in columns.of_field:
        columns = replace(columns, flags=flag_columns(columns, head))
    record, id_column = kind.maker(columns), columns.of_field[ID]
    records: dict[str, R] = {}
    n_rejected = 0
    for row in itertools.chain(head, rows):
        name = _id(row.get(id_column))
        if kind.is_id(name):
            _add(records, name, record(row))
        else:
            n_rejected += 1
    if not columns.is_json:
        records.pop(id_column, None)  # the header again, of files that were concatenated
    if not records:
        problem = f"has no entry with a usable id, read as {form.name}"
        raise UnreadKindError(file, problem, f"give lines like {kind.line} or {kind.header}")
    records, notes = _with_whole_ids(records, id_column)
    return records, RecordFile(
        file.path,
        form.name,
        len(records),
        n_rejected,
        file.member_name,
        columns.names,
        notes,
        (*_warnings(form), *_unreadable(columns, kind, head, records)),
        dict(columns.of_field),
    )


def _id(value: object) -> str:
    """Return an id as text; "" if it is not one."""
    if type(value) is str:
        return value
    if type(value) is int:  # and not a flag, which is an int, too
        return str(value)
    return f"{value:.1f}" if isinstance(value, float) and value.is_integer() else ""


def _with_whole_ids(records: dict[str, R], id_column: str) -> tuple[dict[str, R], tuple[str, ...]]:
    """Return the records with ids such as `7` for `7.0`, and a sentence if there were any."""
    if "." not in "".join(records) or id_form(pa.array(records)) is not IdForm.FLOAT:
        return records, ()
    fraction = next(name for name in records if "." in name)
    renamed: dict[str, R] = {}
    for name, record in records.items():
        _add(renamed, whole_text(name), record)
    return renamed, (f"{id_column} read as whole numbers: {fraction} is {whole_text(fraction)}",)


def _checked_form(file: InputFile, kind: RecordKind[R]) -> Form:
    """Return the form of a file, which has a column of ids and no others' ids."""
    form = form_of(file, kind.names, kind.headless)
    if form is None:
        first = next(filter(str.strip, head_lines(file)), "")
        problem = f"has no column named like {kind.noun} ids: it begins with {_shortened(first)}"
        raise UnreadKindError(file, problem, f"give one of these: {'; '.join(kind.forms)}")
    columns, like = form.columns, f"{kind.line} or {kind.header}"
    if columns.foreign:
        problem = f"is not a list of {kind.noun}s: it has a column {columns.foreign[0]}"
        raise UnreadKindError(
            file, problem, f"give events with --events, and here lines like {like}"
        )
    if columns.id_column is None:
        shown = shown_names(columns.names) or "none"
        problem = f"has no entry with a usable id, read as {form.name} with the fields {shown}"
        raise UnreadKindError(file, problem, f"give lines like {like}")
    return form


def _warnings(form: Form) -> Iterator[str]:
    columns, shape = form.columns, form.shape
    if columns.rivals:
        others = " or ".join(columns.rivals)
        yield f"{columns.id_column} is read as the id, although {others} could be it, too"
    if shape and shape.n_uneven:
        n_lines, n_fields = shape.n_uneven, len(shape.columns)
        yield f"{n_lines:,} lines do not have {n_fields} fields: only their ids are used"


def _unreadable(
    columns: RecordColumns, kind: RecordKind[R], head: Sequence[Row], records: Mapping[str, R]
) -> Iterator[str]:
    """Yield a sentence for each column of a field without any value that can be read."""
    for field, column in columns.of_field.items():
        shown = next((row[column] for row in head if text(row.get(column)) is not None), None)
        if field == ID or shown is None:
            continue
        attribute = kind.attributes.get(field, field)
        found = (getattr(record, attribute) for record in records.values())
        if all(value is None or value == () for value in found):
            yield f"no value of {column} can be read as {attribute}, such as {_shortened(shown)}"


def _shortened(value: object) -> str:
    line = str(value)
    more = "…" if len(line) > _SHOWN_CHARACTERS else ""
    return f"{line[:_SHOWN_CHARACTERS]!r}{more}"  # repr, as it may be binary


def _add(records: dict[str, R], name: str, record: R) -> None:
    known = records.get(name)
    records[name] = record if known is None else known.or_else(record)
