"""Text lines as rows of named fields: JSON lines, CSV, fields between separators.

    {"id": "heat+1995", "title": "Heat"}  ─┐
    heat+1995,Heat                         ├─►  {"id": "heat+1995", "title": "Heat"}
    heat+1995::Heat                       ─┘

A row that cannot be read comes out empty, for without an id it will be
rejected and counted like any other; no line is fatal.
"""

import csv
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from batch.files import open_input

Row = Mapping[str, object]

ID: Final = "id"  # what the field with the id is called in a row of any kind

_CHUNK: Final = 100  # lines that are parsed in one go
_NO_ROW: Final[Row] = {}
_NO_VALUES: Final = [""]


def text_lines(path: Path) -> Iterator[str]:
    """Yield a file's lines, line ends included; what is not UTF-8 is read as latin-1.

    Raises:
        InputError: The file cannot be read.
    """
    with open_input(path) as file:
        for line in file:
            yield _decoded(line).removeprefix("\ufeff")


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:  # as MovieLens wrote until 2003
        return line.decode("latin-1")


def json_rows(lines: Iterable[str], id_field: str) -> Iterator[Row]:
    """Yield one row for each JSON object, bare or under "doc"."""
    rest = filter(str.strip, lines)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        for found in _flat_objects(chunk) or map(_json_object, chunk):
            inner = found.get("doc")
            row = inner if isinstance(inner, dict) else found
            row[ID] = row.get(id_field)
            yield row


def _flat_objects(lines: Sequence[str]) -> list[dict[str, object]] | None:
    """Return each line's object, parsed in one go; None if not every line is one without others.

    That is so where every line begins with the only brace that opens in it, and ends with one that
    closes: a line end within quotes is no JSON, so what closes there is what began the line.
    """
    text = ",".join(lines)
    n_joints = text.count("}\n,{") + text.count("}\r\n,{")
    n_framed = n_joints + (text[0] == "{" and text.rstrip()[-1] == "}")
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
    """Return the names in a CSV header in lower case, the column of ids as ID."""
    names = (name.strip().lower() for name in next(_csv_values(header.splitlines()), _NO_VALUES))
    return [ID if name in id_columns else name for name in names]


def csv_rows(lines: Iterable[str], id_columns: Collection[str]) -> Iterator[Row]:
    """Yield one row for each record under a CSV header; quoted fields may span lines.

    The standard library makes a million rows in 0.7 s and holds one at a time;
    pandas needs about as long before its frame has been turned into rows at all.
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
        except csv.Error:  # a stray quote; the reader goes on behind it
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
    # Too few or too many: fields may have shifted, so only the id is believed;
    # and not even that where there is no separator at all.
    return {ID: fields.get(ID)} if len(values) > 1 else _NO_ROW
