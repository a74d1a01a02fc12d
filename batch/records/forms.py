"""Forms of record files: how each is recognized by its content, and parsed into rows.

    copy of an API     Parquet whose rows are JSON texts, as `fetch` writes it
    Parquet            its schema has the names of the columns
    JSON               one object a line, an array, or an object; the first objects have the names
    delimited          a header has the names
    MovieLens          no header: the names follow from the lines

A form gives the names of its columns first, and then its rows.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

from batch.columns.dialect import Dialect, find_dialect
from batch.columns.roles import is_header
from batch.fetch.cache import cached_lines
from batch.files.input_file import AnyFile
from batch.files.open import head_lines, is_parquet
from batch.records.json_documents import KEY, document_objects
from batch.records.naming import ID, FieldNames, RecordColumns, columns_of
from batch.records.parquet import parquet_columns, parquet_rows
from batch.records.rows import (
    Row,
    Shape,
    first_lines,
    json_object,
    json_rows,
    separated_rows,
    table_rows,
    text_lines,
    text_pieces,
)
from batch.sql.source import DatabaseInput

_FIRST_KEY: Final = re.compile(r'\s*\{\s*"([^"\\]*)"\s*:')
# Within a field, as in Book-Crossing; one behind which a field ends may follow a real backslash.
_ESCAPED_QUOTE: Final = re.compile(r'\\"[^",;|\t]')
_SHOWN_CHARACTERS: Final = 60
N_HEAD: Final = 100  # rows by which names and values are judged
_ONE_COLUMN: Final = Dialect(",", 1, is_quoted=True)


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one file of records.

    Attributes:
        name: Name in messages and in the manifest.
        columns: Names of its columns, and the fields that they are.
        rows: Parser of the file.
        shape: Shape of the rows of a text without keys; None for other forms.
    """

    name: str
    columns: RecordColumns
    rows: Callable[[], Iterator[Row]]
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Headless:
    """A known form of text files without a header.

    Attributes:
        name: Name in messages and in the manifest.
        example: Line of such a file, for messages.
        pattern: Pattern of the beginning of its lines. Any of the first ones may match, not
            only the very first one: a broken line must not hide the form of the file.
        separator: Separator of two fields.
        columns: Names of the columns, the one of the ids first.
        is_last_open: Whether the last field may hold separators.
    """

    name: str
    example: str
    pattern: re.Pattern[str]
    separator: str
    columns: Sequence[str]
    is_last_open: bool = False


def form_of(
    file: AnyFile | DatabaseInput, names: FieldNames, headless: Sequence[Headless]
) -> Form | None:
    """Return the form of a file by its content; None if it has none of the known forms.

    Args:
        file: File of records, or a table or query, which is read as CSV with a header.
        names: Names of the fields.
        headless: Forms without a header.

    Raises:
        InputError: The file cannot be read, is empty, or is damaged.
    """
    if isinstance(file, DatabaseInput):
        return _delimited_form(file, names, first_lines(file))
    if (answers := cached_lines(file)) is not None:
        head = list(itertools.islice(answers, N_HEAD))
        return _json_form(file, names, head, is_document=False)
    if is_parquet(file):
        columns = columns_of(parquet_columns(file), names)
        return Form("Parquet", columns, partial(parquet_rows, file, columns.of_field.values()))
    head = [line for line in head_lines(file) if line.strip()][:N_HEAD] or [""]
    if 2 * _n_objects(head) >= len(head):
        return _json_form(file, names, head, is_document=_is_document(head, names))
    if head[0].lstrip().startswith(("{", "[")):
        first_key = _FIRST_KEY.match("".join(head))  # of a line that is longer than the head
        is_document = not (first_key and names.has(first_key[1]))
        return _json_form(file, names, head, is_document=is_document)
    return _delimited_form(file, names, head) or _headless_form(file, names, headless, head)


def _json_form(file: AnyFile, names: FieldNames, head: Sequence[str], *, is_document: bool) -> Form:
    is_field = lru_cache(maxsize=1 << 12)(names.has)

    def lines() -> Iterator[Row]:
        return json_rows(cached_lines(file) or text_lines(file))

    def document() -> Iterator[Row]:
        return document_objects(file, text_pieces(file), is_field)

    rows, name = (document, "JSON document") if is_document else (lines, "JSON lines")
    first = [] if is_document else list(json_rows(head))
    if not any(first):  # nor if the first line is longer than the head
        first = list(itertools.islice(rows(), N_HEAD))
    keys = dict.fromkeys(key for row in first for key in row)
    is_keyed = KEY in keys
    keys.pop(KEY, None)
    columns = columns_of(list(keys), names, is_json=True)
    if is_keyed and columns.id_column is None:
        columns = replace(columns, of_field={ID: KEY, **columns.of_field})
    return Form(name, columns, rows)


def _delimited_form(
    file: AnyFile | DatabaseInput, names: FieldNames, head: Sequence[str]
) -> Form | None:
    """Return the form of a file with a header that names the column of ids."""
    dialect = find_dialect(head) or _ONE_COLUMN
    columns = columns_of([name.strip("# ") for name in dialect.fields(head[0])], names)
    if columns.id_column is None or not is_header(columns.names):
        return None
    shape = Shape(columns.names, columns.id_column)
    escape = "\\" if any(map(_ESCAPED_QUOTE.search, head)) else None

    def rows() -> Iterator[Row]:
        lines = text_lines(file)
        next(filter(str.strip, lines))
        return table_rows(lines, dialect, shape, escape)

    return Form(dialect.name, columns, rows, shape)


def _headless_form(
    file: AnyFile, names: FieldNames, headless: Sequence[Headless], head: Sequence[str]
) -> Form | None:
    """Return the first form without a header that any of the first lines matches."""
    form = next((form for form in headless if any(map(form.pattern.match, head))), None)
    if form is None:
        return None
    shape = Shape(form.columns, form.columns[0], form.is_last_open)

    def rows() -> Iterator[Row]:
        return separated_rows(text_lines(file), form.separator, shape)

    return Form(form.name, columns_of(form.columns, names), rows, shape)


def _n_objects(head: Iterable[str]) -> int:
    """Return how many lines are a JSON object each."""
    return sum(bool(json_object(line)) for line in head)


def _is_document(head: Sequence[str], names: FieldNames) -> bool:
    """Return whether the only line is an object of records, and not one record."""
    found = json_object(head[0]) if len(head) == 1 else {}
    is_record = "doc" in found or any(map(names.has, found))
    return not is_record and any(isinstance(value, dict | list) for value in found.values())


def shortened(value: object) -> str:
    """Return the beginning of a value for a message, in quotes, as it may be binary."""
    line = str(value)
    return f"{line[:_SHOWN_CHARACTERS]!r}{'…' if len(line) > _SHOWN_CHARACTERS else ''}"
