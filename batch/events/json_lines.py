"""JSON objects as rows of a table: one object a line, or one of an array's records.

    {"user_id": "1", "item_id": "102", "rating": 4}      JSON lines
    {u'user_id': u'1', u'items': [{u'item_id': …}]}      as Python prints them (Steam, Amazon)

Arrow parses a block at once. Only a block that it cannot parse, or whose values it would
change, is parsed line by line: one with a broken line, with a column of both numbers and
text, with a repeated key, or with whole numbers that no float holds.
"""

import ast
import io
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from batch.events.rows import EventRows

OBJECT_LINE: Final = r"(?s)^\s*\{.*\}\s*$"
_PYTHON_OBJECT: Final = ("{'", "{u'", '{u"')
_MAX_PYTHON_BYTES: Final = 1 << 20
_MAX_EXACT: Final = 1 << 53  # whole numbers beyond are not exact as floats
_NOT_AN_OBJECT: Final = "not a JSON object"
_BLANK: Final = "blank line"


class JsonReader:
    """Reads blocks of lines with a JSON object each.

    Columns of text stay text: what Arrow would take for times is remembered, and read again.
    """

    def __init__(self) -> None:
        self._texts: dict[str, pa.DataType] = {}

    def __call__(self, lines: pa.BinaryArray) -> EventRows:
        """Return the objects of lines, which may have their line ends."""
        is_object = pc.match_substring_regex(lines, OBJECT_LINE)
        if pc.all(is_object).as_py() and (table := self._parsed_at_once(lines)) is not None:
            nothing = np.zeros(0, np.int64)
            return EventRows(table, np.arange(len(lines)), nothing, [])
        return _parsed_one_by_one(lines)

    def _parsed_at_once(self, lines: pa.BinaryArray) -> pa.Table | None:
        """Return a row for each line; None if Arrow would refuse or change some of them."""
        try:
            lines.cast(pa.string())  # checks that the bytes are UTF-8, which the parser does not
            table = _read(lines, self._texts)
            times = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
            if times:
                self._texts |= dict.fromkeys(times, pa.string())
                table = _read(lines, self._texts)
        except pa.ArrowInvalid:
            return None
        is_whole = len(table) == len(lines) and not any(map(_may_be_inexact, table.columns))
        return table if is_whole else None


def _read(lines: pa.BinaryArray, texts: dict[str, pa.DataType]) -> pa.Table:
    data = _bytes_of(lines)
    return pj.read_json(
        io.BytesIO(data),
        pj.ReadOptions(use_threads=False, block_size=len(data) + 1),  # one type for all lines
        pj.ParseOptions(explicit_schema=pa.schema(texts), newlines_in_values=True),
    )


def _bytes_of(lines: pa.BinaryArray) -> memoryview:
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data or b"")[ends[0] : ends[-1]]


def _may_be_inexact(column: pa.ChunkedArray) -> bool:
    """Return whether a column of floats may have been one of longer whole numbers."""
    if not pa.types.is_floating(column.type):
        return False
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and not largest < _MAX_EXACT


def _parsed_one_by_one(lines: pa.BinaryArray) -> EventRows:
    objects = [parse_object(line) for line in lines.to_pylist()]
    positions = [position for position, found in enumerate(objects) if found is not None]
    rows = [found for found in objects if found is not None]
    broken = np.setdiff1d(np.arange(len(objects)), positions)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    reasons = [_BLANK if not lines[int(at)].as_py().strip() else _NOT_AN_OBJECT for at in broken]
    return EventRows(pa.table(columns), np.array(positions, np.int64), broken, reasons)


def parse_object(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None if it is not one."""
    try:
        text = line.decode("utf-8").strip()
        if text.startswith(_PYTHON_OBJECT) and len(text) <= _MAX_PYTHON_BYTES:
            found = ast.literal_eval(text)
        else:
            found = json.loads(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, dict) else None


def _column(values: Sequence[Any]) -> pa.Array:
    """Return values of one key; as JSON text where they are of different types."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        n_digits_kept = all(abs(value) < _MAX_EXACT for value in values if type(value) is int)
        if kinds != {int, float} or n_digits_kept:
            return _array(values)
    return _array(values) if len(kinds) == 1 else _texts(values)


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return _texts(values)


def _texts(values: Sequence[Any]) -> pa.StringArray:
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return text.encode("utf-8", "replace").decode("utf-8")  # half a character cannot be encoded
