"""Quoted fields that hold line ends: the lines of such a field are joined to one record.

12  7,102,"a review           an odd number of quotes opens a field …
13  of two lines",4     ─►    … which the next odd one closes: record of lines 12 and 13
14  8,103,5" disk,3           an odd number that none closes within `MAX_RECORD_LINES` lines is a
                              stray quote: the line stays a record of its own
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from batch.arrays import Flags, Rows
from batch.columns.dialect import MAX_RECORD_LINES
from batch.columns.tokens import line_bytes
from batch.events.lines import Block

_QUOTE: Final = ord('"')


def join_quoted(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks whose lines are records; an open one is carried into the next block."""
    carried: Block | None = None
    for block in blocks:
        whole = block if carried is None else _joined(carried, block)
        joined, carried = _records(whole, is_last=False)
        if len(joined.lines):
            yield joined
    if carried is not None:
        yield _records(carried, is_last=True)[0]


def _joined(first: Block, second: Block) -> Block:
    lines = pa.concat_arrays([first.lines, second.lines])
    return Block(lines, first.first_number, second.max_lines_left)


def _records(block: Block, *, is_last: bool) -> tuple[Block, Block | None]:
    """Return the records of a block, and its last lines if a field is still open in them."""
    data, begins = line_bytes(block.lines)
    if b'"' not in data:
        return block, None
    n_quotes = np.append(0, np.cumsum(np.frombuffer(data, np.uint8) == _QUOTE))
    ends = np.append(begins[1:], len(data))
    odd = np.flatnonzero((n_quotes[ends] - n_quotes[begins]) % 2)
    is_begin = np.ones(len(begins), dtype=bool)
    n_whole = _close(odd, is_begin, len(begins), is_last=is_last)
    rows = np.flatnonzero(is_begin[:n_whole])
    whole = data[: begins[n_whole]] if n_whole < len(begins) else data
    bounds = np.append(begins[rows], len(whole)).astype(np.int32)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(whole)]
    records = pa.Array.from_buffers(pa.binary(), len(rows), buffers)
    number = block.first_number
    rest = None
    if n_whole < len(begins):
        rest = Block(block.lines[n_whole:], number + n_whole, block.max_lines_left)
    return Block(records, number, block.max_lines_left, rows), rest


def _close(odd: Rows, is_begin: Flags, n_lines: int, *, is_last: bool) -> int:
    """Unmark the lines that continue a record; return the number of lines in whole records."""
    opened = -1
    for line in odd.tolist():
        if opened >= 0 and line - opened < MAX_RECORD_LINES:
            is_begin[opened + 1 : line + 1] = False
            opened = -1
        else:
            opened = line
    if opened >= 0 and not is_last and n_lines - opened < MAX_RECORD_LINES:
        return opened
    return n_lines
