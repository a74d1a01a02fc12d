"""Kinds of records: what tells items from users, and how a row becomes one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

from batch.columns.roles import plain_name, shown_names
from batch.errors import UnreadKindError
from batch.files.input_file import InputFile
from batch.records.forms import Form, Headless, form_of, shortened
from batch.records.naming import FieldNames, RecordColumns
from batch.records.rows import Row, first_lines
from batch.sql.source import DatabaseInput


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

    def form_of(self, file: InputFile | DatabaseInput) -> Form:
        """Return the form of a file or a table, which has ids of this kind and of no other.

        Raises:
            UnreadKindError: The file is of no known form, or has other content.
            InputError: The file cannot be read.
        """
        form = form_of(file, self.names, self.headless)
        if form is None:
            first = next(filter(str.strip, first_lines(file)), "")
            problem = f"has no column named like {self.noun} ids: it begins with {shortened(first)}"
            raise UnreadKindError(file, problem, f"give one of these: {'; '.join(self.forms)}")
        columns, like = form.columns, f"{self.line} or {self.header}"
        if columns.foreign:
            problem = f"is not a list of {self.noun}s: it has a column {columns.foreign[0]}"
            remedy = f"give events with --events, and here lines like {like}"
            raise UnreadKindError(file, problem, remedy)
        if columns.id_column is None:
            shown = shown_names(columns.names) or "none"
            problem = f"has no entry with a usable id, read as {form.name} with the fields {shown}"
            raise UnreadKindError(file, problem, f"give lines like {like}")
        return form
