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
from pathlib import Path
from typing import Final, cast

from batch.errors import InputError
from batch.files import open_input

Row = Mapping[str, object]

_CHUNK_LINES: Final = 100
_MAX_LINE_BYTES: Final = 1 << 24
_PIECE_BYTES: Final = 1 << 16
_PYTHON: Final = re.compile(r"\s*\{u?'")  # Amazon's and Steam's records
_MAX_PYTHON_CHARACTERS: Final = 1 << 20
_NO_ROW: Final[Row] = {}
_NO_VALUES: Final = [""]


def text_lines(path: Path) -> Iterator[str]:
    """Yield a file's lines, line ends included; a line that is not UTF-8 is read as latin-1.

    Raises:
        InputError: The file cannot be read, or a line is too long.
    """
    with open_input(path) as file:
        while line := file.readline(_MAX_LINE_BYTES + 1):
            if len(line) > _MAX_LINE_BYTES:
                problem = f"a line is longer than {_MAX_LINE_BYTES:,} bytes"
                raise InputError(path, problem, "give a file of text lines")
            yield _decoded(line).removeprefix("\ufeff")


def text_pieces(path: Path) -> Iterator[str]:
    """Yield a file's text in pieces, which need not be lines; bytes that are not UTF-8 as U+FFFD.

    Raises:
        InputError: The file cannot be read.
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    with open_input(path) as file:
        while piece := file.read(_PIECE_BYTES):
            yield decode(piece)


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:  # MovieLens files until 2003
        return line.decode("latin-1")


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


def csv_rows(
    lines: Iterable[str], separator: str, columns: Sequence[str], id_column: str
) -> Iterator[Row]:
    """Yield one row for each record below a header; quoted fields may span lines.

    The standard library parses a million rows in 0.7 s and holds one at a time; pandas
    needs about as long before the first row can be taken from its frame.

    Args:
        lines: Lines of a file, its header among them.
        separator: Separator of two fields, one character.
        columns: Names of the columns.
        id_column: Column of the ids.
    """
    lines = iter(lines)
    next(filter(str.strip, lines), "")
    for values in csv_values(lines, separator):
        if values:
            yield _row(columns, values, id_column)


def csv_values(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Yield the fields of each record; one empty field in place of a broken one."""
    reader = csv.reader(lines, strict=True, delimiter=separator, skipinitialspace=True)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a stray quote; the reader continues after it
            yield _NO_VALUES


def separated_rows(
    lines: Iterable[str], separator: str, columns: Sequence[str], id_column: str
) -> Iterator[Row]:
    """Yield one row for each line of fields between separators, without quoting."""
    for line in lines:
        if line.strip():
            yield _row(columns, line.rstrip("\r\n").split(separator), id_column)


def _row(columns: Sequence[str], values: Sequence[str], id_column: str) -> Row:
    fields = dict(zip(columns, values, strict=False))
    if len(values) == len(columns):
        return fields
    # Too few or too many: fields may have shifted, so only the id is used, and
    # nothing of a line without any separator.
    return {id_column: fields.get(id_column)} if len(values) > 1 else _NO_ROW
