"""Text lines as rows of named fields: JSON lines, CSV, fields between separators.

    {"id": "heat+1995", "title": "Heat"}  ─┐
    heat+1995,Heat                         ├─►  {"id": "heat+1995", "title": "Heat"}
    heat+1995::Heat                       ─┘

A row that cannot be parsed becomes an empty one, which has no id and is therefore
rejected and counted; no line is fatal.
"""

import ast
import codecs
import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from batch.columns.dialect import Dialect
from batch.errors import InputError
from batch.files.encodings import decoded
from batch.files.input_file import AnyFile
from batch.files.open import head_lines, open_input
from batch.sql.lines import csv_lines, header_line
from batch.sql.source import DatabaseInput

Row = Mapping[str, object]

_CHUNK_LINES: Final = 100
_MAX_LINE_BYTES: Final = 1 << 24
_PIECE_BYTES: Final = 1 << 16
_PYTHON: Final = re.compile(r"\s*\{u?'")  # Amazon's and Steam's records
_MAX_PYTHON_CHARACTERS: Final = 1 << 20
_NO_ROW: Final[Row] = {}
_NO_VALUES: Final = [""]


def text_lines(file: AnyFile | DatabaseInput) -> Iterator[str]:
    """Yield a file's lines, line ends included; one that is not UTF-8 is decoded by `decoded`.

    The rows of a database are lines of CSV.

    Raises:
        InputError: The file cannot be read, or a line is too long.
        DatabaseError: The database cannot be read.
    """
    if isinstance(file, DatabaseInput):
        yield from csv_lines(file)
        return
    with open_input(file) as content:
        while line := content.readline(_MAX_LINE_BYTES + 1):
            if len(line) > _MAX_LINE_BYTES:
                problem = f"a line is longer than {_MAX_LINE_BYTES:,} bytes"
                raise InputError(file, problem, "give a file of text lines")
            yield decoded(line).removeprefix("\ufeff")


def first_lines(file: AnyFile | DatabaseInput) -> list[str]:
    """Return the first whole lines of a file; of a database the names of the columns.

    Raises:
        InputError: The file cannot be read, or is empty.
        DatabaseError: The database cannot be read.
    """
    return [header_line(file)] if isinstance(file, DatabaseInput) else head_lines(file)


def text_pieces(file: AnyFile) -> Iterator[str]:
    """Yield a file's text in pieces, which need not be lines; bytes that are not UTF-8 as U+FFFD.

    Raises:
        InputError: The file cannot be read.
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    with open_input(file) as content:
        while piece := content.read(_PIECE_BYTES):
            yield decode(piece)


def json_rows(lines: Iterable[str], *, chunk_lines: int = _CHUNK_LINES) -> Iterator[Row]:
    """Yield one row for each JSON object, bare or under "doc".

    Args:
        lines: Lines of a file.
        chunk_lines: Lines that are parsed at a time; the rows do not depend on it.
    """
    rest = filter(str.strip, lines)
    while chunk := list(itertools.islice(rest, chunk_lines)):
        for found in _flat_objects(chunk) or map(json_object, chunk):
            inner = found.get("doc")
            yield inner if isinstance(inner, dict) else found


def _flat_objects(lines: Sequence[str]) -> list[dict[str, object]] | None:
    """Return each line's object, parsed at once; None unless each line is one flat object.

    A line is one flat object if it begins with its only opening brace and ends with a closing
    one: JSON has no line end within quotes, so that brace closes the object of the line.
    """
    text = ",".join(lines)
    n_between = text.count("}\n,{") + text.count("}\r\n,{")
    n_framed = n_between + (text[0] == "{" and text.rstrip()[-1] == "}")
    if not text.count("{") == n_framed == len(lines):
        return None
    try:
        return cast(list[dict[str, object]], json.loads(f"[{text}]"))
    except (ValueError, RecursionError):
        return None


def json_object(line: str) -> dict[str, object]:
    """Return the object of a line, of JSON or as Python prints it; an empty one without it."""
    try:
        is_python = len(line) <= _MAX_PYTHON_CHARACTERS and _PYTHON.match(line)
        found = ast.literal_eval(line.strip()) if is_python else json.loads(line)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    return found if isinstance(found, dict) else {}


def table_rows(
    lines: Iterable[str], dialect: Dialect, shape: "Shape", escape: str | None = None
) -> Iterator[Row]:
    """Yield one row for each record of delimited text; quoted fields may span lines.

    The standard library parses a million rows in 0.7 s and holds one at a time; pandas
    needs about as long before the first row can be taken from its frame.

    Args:
        lines: Lines of a file, without its header.
        dialect: Dialect of the lines.
        shape: Shape of a row.
        escape: Character before a quote that is a part of a quoted field; None: quotes are
            doubled.
    """
    is_csv = dialect.is_quoted and len(dialect.separator) == 1
    records = _csv_values(lines, dialect, escape) if is_csv else map(dialect.fields, _bare(lines))
    if is_csv and dialect.has_blanks:
        records = ([value.strip() for value in values] for values in records)
    return shape.rows(records)


def separated_rows(lines: Iterable[str], separator: str, shape: "Shape") -> Iterator[Row]:
    """Yield one row for each line of fields between separators, without quoting."""
    max_splits = len(shape.columns) - 1 if shape.is_last_open else -1
    return shape.rows(line.split(separator, max_splits) for line in _bare(lines))


@dataclass(slots=True)
class Shape:
    """The shape of the rows of a text without keys, and the number of rows of another one.

    Attributes:
        columns: Names of the columns.
        id_column: Name of the column of ids.
        is_last_open: Whether the last field may hold separators.
        n_uneven: Number of rows with too few or too many fields.
    """

    columns: Sequence[str]
    id_column: str
    is_last_open: bool = False
    n_uneven: int = 0

    def rows(self, records: Iterable[Sequence[str]]) -> Iterator[Row]:
        """Yield a row for each record with any field."""
        columns, n_columns = self.columns, len(self.columns)
        for values in records:
            if len(values) == n_columns:
                yield dict(zip(columns, values, strict=True))
            elif values:
                yield self._uneven(values)

    def _uneven(self, values: Sequence[str]) -> Row:
        """Return a row with its id alone, as other fields may have shifted.

        Nothing is used of a line without any separator.
        """
        self.n_uneven += 1
        fields = dict(zip(self.columns, values, strict=False))
        return {self.id_column: fields.get(self.id_column)} if len(values) > 1 else _NO_ROW


def _csv_values(lines: Iterable[str], dialect: Dialect, escape: str | None) -> Iterator[list[str]]:
    reader = csv.reader(
        lines,
        strict=True,
        delimiter=dialect.separator,
        skipinitialspace=True,
        escapechar=escape,
    )
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a stray quote; the reader continues after it
            yield _NO_VALUES


def _bare(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines if line.strip())
