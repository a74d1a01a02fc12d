"""Text lines as rows of named fields: JSON lines, CSV, fields between separators.

    {"id": "heat+1995", "title": "Heat"}  ─┐
    heat+1995,Heat                         ├─►  {"id": "heat+1995", "title": "Heat"}
    heat+1995::Heat                       ─┘

A row that cannot be parsed becomes an empty one, which has no id and is therefore
rejected and counted; no line is fatal.
"""

import csv
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

from batch.errors import InputError
from batch.files.encodings import decoded
from batch.files.input_file import AnyFile
from batch.files.open import open_input
from batch.sql.lines import csv_lines
from batch.sql.source import DatabaseInput

Row = Mapping[str, object]

ID: Final = "id"  # name of the field with the id in a row of any kind

_CHUNK_LINES: Final = 100
_MAX_LINE_BYTES: Final = 1 << 24
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


def json_rows(
    lines: Iterable[str], id_field: str, *, chunk_lines: int = _CHUNK_LINES
) -> Iterator[Row]:
    """Yield one row for each JSON object, bare or under "doc".

    Args:
        lines: Lines of a file.
        id_field: Name of the field with the id.
        chunk_lines: Lines that are parsed at a time; the rows do not depend on it.
    """
    rest = filter(str.strip, lines)
    while chunk := list(itertools.islice(rest, chunk_lines)):
        for found in _flat_objects(chunk) or map(_json_object, chunk):
            inner = found.get("doc")
            row = inner if isinstance(inner, dict) else found
            row[ID] = row.get(id_field)
            yield row


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


def _json_object(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def csv_columns(header: str, id_columns: Collection[str]) -> list[str]:
    """Return the column names of a CSV header in lower case, the column of ids as ID."""
    names = (name.strip().lower() for name in next(_csv_values(header.splitlines()), _NO_VALUES))
    return [ID if name in id_columns else name for name in names]


def csv_rows(lines: Iterable[str], id_columns: Collection[str]) -> Iterator[Row]:
    """Yield one row for each record under a CSV header; quoted fields may span lines.

    The standard library parses a million rows in 0.7 s and holds one at a time; pandas
    needs about as long before the first row can be taken from its frame.
    """
    lines = iter(lines)
    columns = csv_columns(next(filter(str.strip, lines), ""), id_columns)
    for values in _csv_values(lines):
        if values:
            yield _row(columns, values)


def _csv_values(lines: Iterable[str]) -> Iterator[list[str]]:
    reader = csv.reader(lines, strict=True)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a stray quote; the reader continues after it
            yield _NO_VALUES


def separated_rows(lines: Iterable[str], separator: str, columns: Sequence[str]) -> Iterator[Row]:
    """Yield one row for each line of fields between separators, without quoting."""
    for line in lines:
        if line.strip():
            yield _row(columns, line.rstrip("\r\n").split(separator))


def _row(columns: Sequence[str], values: Sequence[str]) -> Row:
    fields = dict(zip(columns, values, strict=False))
    if len(values) == len(columns):
        return fields
    # Too few or too many: fields may have shifted, so only the id is used, and
    # nothing of a line without any separator.
    return {ID: fields.get(ID)} if len(values) > 1 else _NO_ROW
