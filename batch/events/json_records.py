"""JSON arrays and objects of records as blocks of records, in bounded memory.

    [{…}, {…}]                        an array of records
    {"1": {…}, "2": {…}}              an object of records; its keys are not used
    {"Cursor": "", "Feedback": [{…}]} records inside something else (Gorse)
    depth   1      2           3

A record is an object at a depth that the first ones of the file decide. Its brackets are
found by counting, with those inside quotes left out, in all bytes of a block at once.
What stands between two records and is not one is a row of its own, and rejected later.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Characters, Flags, Rows
from batch.errors import InputError
from batch.events.lines import BLOCK_BYTES, MAX_LINE_BYTES, Block
from batch.files.input_file import AnyFile
from batch.files.layers import max_lines_left
from batch.files.open import open_input

MIN_RECORD_BYTES: Final = len('{"u":1,"i":1},')
_MAX_DEPTH: Final = 3
_BETWEEN: Final = r'^[\s,\[\]{}:]*(?:"(?:\\.|[^"\\])*"[\s,\[\]{}:]*)*$'  # brackets, commas and keys


class _Spans(NamedTuple):
    """Complete records of a buffer, in order.

    Attributes:
        begins: (n_records,) positions of the opening brackets.
        ends: (n_records,) positions behind the closing brackets.
        depth: Depth behind the last byte.
        is_quoted: Whether the buffer ends within quotes.
        line_break: Position of the first line end within quotes; -1 without one.
    """

    begins: Rows
    ends: Rows
    depth: int
    is_quoted: bool
    line_break: int

    @property
    def n(self) -> int:
        """Number of records."""
        return len(self.ends)


def record_depth(head: str, is_record: Callable[[dict[str, Any]], bool]) -> int:
    """Return the depth of a file's records: the least at which the first object is one.

    Args:
        head: Beginning of the file.
        is_record: Function that decides whether an object is a record.

    Returns:
        Depth of the records from 1; 0 if the head has none.
    """
    for depth in range(1, _MAX_DEPTH + 1):
        for record in head_records(head, depth)[:1]:
            try:
                found = json.loads(record)
            except (ValueError, RecursionError):
                continue
            if is_record(found):
                return depth
    return 0


def head_records(head: str, depth: int) -> list[str]:
    """Return the complete objects at a depth of a file's beginning."""
    data = head.encode("utf-8", "replace")
    spans = _find(data, 0, depth)
    pairs = zip(spans.begins, spans.ends, strict=False)
    return [data[begin:end].decode("utf-8", "replace") for begin, end in pairs]


def read_records(file: AnyFile, block_bytes: int = BLOCK_BYTES, *, depth: int) -> Iterator[Block]:
    """Yield the records of a JSON file in order, without what stands between them.

    Args:
        file: JSON file.
        block_bytes: Bytes that are read at a time.
        depth: Depth of the records, as `record_depth` returns it.

    Raises:
        InputError: The file cannot be read, ends inside a record or before its last bracket,
            or a record is too long.
    """
    number, outer, rest = 1, 0, b""
    with open_input(file) as content:
        while read := content.read(block_bytes):
            data = rest + read
            spans = _find(data, outer, depth)
            _check(file, spans, number)
            rest, outer = (data[spans.ends[-1] :], depth - 1) if spans.n else (data, outer)
            if len(rest) > MAX_LINE_BYTES:
                problem = f"has no whole record in {MAX_LINE_BYTES:,} bytes"
                raise InputError(file, f"{problem} behind record {number - 1:,}", "look into it")
            is_preface = number == 1 and depth == _MAX_DEPTH  # counts, cursors and the like
            records = _records(data, spans, has_preface=is_preface)
            left = max_lines_left(content, MIN_RECORD_BYTES) + len(rest) // MIN_RECORD_BYTES
            yield Block(records, number, left)
            number += len(records)
    last = _find(rest, outer, depth)
    if last.depth or last.is_quoted:
        problem = f"its brackets and quotes do not end behind record {number - 1:,}"
        raise InputError(file, problem, "fetch the file again")
    if not re.match(_BETWEEN.encode(), rest) and depth < _MAX_DEPTH:
        yield Block(pa.array([rest]), number)


def _check(file: AnyFile, spans: _Spans, number: int) -> None:
    if spans.line_break >= 0:
        problem = f"has a line end within quotes behind record {number - 1:,} or later"
        raise InputError(file, problem, "write it with a JSON library")
    begins, ends = spans.begins, spans.ends
    is_sound = len(begins) == len(ends) and (begins < ends).all() and (ends[:-1] < begins[1:]).all()
    if not is_sound:
        problem = f"its brackets do not match behind record {number - 1:,} or later"
        raise InputError(file, problem, "write it with a JSON library")


def _find(data: bytes, outer: int, depth: int) -> _Spans:
    """Find the complete records of bytes that begin outside of quotes at the depth `outer`."""
    characters = np.frombuffer(data, np.uint8)
    quotes = _quotes(characters)
    brackets = np.flatnonzero(_is_any(characters, b"{}[]"))
    brackets = brackets[np.searchsorted(quotes, brackets) % 2 == 0]
    kinds = characters[brackets]
    is_opening = _is_any(kinds, b"{[")
    levels = outer + np.cumsum(np.where(is_opening, 1, -1))
    begins = brackets[(levels == depth) & (kinds == ord("{"))]
    ends = brackets[(levels == depth - 1) & (kinds == ord("}"))] + 1
    line_ends = np.flatnonzero(characters == ord("\n"))
    within = line_ends[np.searchsorted(quotes, line_ends) % 2 == 1]
    return _Spans(
        begins[: len(ends)],
        ends,
        int(levels[-1]) if len(levels) else outer,
        bool(len(quotes) % 2),
        int(within[0]) if len(within) else -1,
    )


def _quotes(characters: Characters) -> Rows:
    """Return the positions of quotes, without those behind an odd number of backslashes."""
    quotes: Rows = np.flatnonzero(characters == ord('"'))
    is_escaped = characters[np.maximum(quotes - 1, 0)] == ord("\\")
    if not is_escaped.any():
        return quotes
    at = np.arange(len(characters))
    last_other = np.maximum.accumulate(np.where(characters == ord("\\"), -1, at))
    before = np.maximum(quotes - 1, 0)
    n_backslashes = np.where(quotes > 0, before - last_other[before], 0)
    unescaped: Rows = quotes[n_backslashes % 2 == 0]
    return unescaped


def _is_any(characters: Characters, wanted: bytes) -> Flags:
    is_wanted = np.zeros(256, dtype=bool)
    is_wanted[list(wanted)] = True
    found: Flags = is_wanted[characters]
    return found


def _records(data: bytes, spans: _Spans, *, has_preface: bool) -> pa.BinaryArray:
    """Return the records, and between them what is neither a key nor a comma nor a bracket."""
    bounds = np.zeros(2 * len(spans.ends) + 1, np.int32)
    bounds[1::2], bounds[2::2] = spans.begins, spans.ends
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    pieces = pa.Array.from_buffers(pa.binary(), len(bounds) - 1, buffers)
    is_between = pc.match_substring_regex(pieces, _BETWEEN).to_numpy(zero_copy_only=False)
    is_between[1::2] = False
    is_between[:1] |= has_preface
    return pieces.filter(pa.array(~is_between))
