"""A text file as blocks of whole lines, each block one Arrow array without a copy per line."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Rows
from batch.errors import InputError
from batch.files.input_file import AnyFile
from batch.files.layers import max_lines_left
from batch.files.open import open_input

BLOCK_BYTES: Final = 1 << 23
BLOCK_LINES: Final = 1 << 18  # a block of blank lines alone has millions
MAX_LINE_BYTES: Final = 1 << 26


class Block(NamedTuple):
    """Consecutive whole lines of a file.

    Attributes:
        lines: Lines as binary, each with its line end.
        first_number: Line number of the first, counted from 1.
        max_lines_left: Maximum number of valid lines behind this block.
        begins: Position of each record's first line in the block, if records of several lines
            were joined; None if every line is one.
    """

    lines: pa.BinaryArray
    first_number: int
    max_lines_left: int = 0
    begins: Rows | None = None

    def numbers(self, rows: Rows) -> Rows:
        """Return the line numbers of some of the lines or records."""
        return self.first_number + (rows if self.begins is None else self.begins[rows])


def read_blocks(
    file: AnyFile,
    block_bytes: int = BLOCK_BYTES,
    max_line_bytes: int = MAX_LINE_BYTES,
    min_line_bytes: int = 1,
    block_lines: int = BLOCK_LINES,
) -> Iterator[Block]:
    """Yield a file's lines in order; a last line without a line end is a line too.

    Args:
        file: Text file, plain or packed.
        block_bytes: Bytes that are read at a time.
        max_line_bytes: Length of the longest line that is read.
        min_line_bytes: Length of the shortest valid line, its end included.
        block_lines: Maximum number of lines in a block.

    Raises:
        InputError: The file cannot be read, or a line is too long.
    """
    number = 1
    rest = b""
    with open_input(file) as content:
        while data := content.read(block_bytes):
            data = rest + data
            n_whole = data.rfind(b"\n") + 1
            rest = data[n_whole:]
            if len(rest) > max_line_bytes:
                number += data.count(b"\n")
                problem = f"line {number} is longer than {max_line_bytes} bytes"
                raise InputError(file, problem, "give a file of text lines")
            n_left = max_lines_left(content, min_line_bytes) + len(rest) // min_line_bytes
            for part in _parts(data[:n_whole], block_lines):
                lines = split_lines(part)
                n_whole -= len(part)
                yield Block(lines, number, n_left + n_whole // min_line_bytes)
                number += len(lines)
    if rest:
        yield Block(split_lines(rest), number)


def _parts(data: bytes, max_lines: int) -> Iterator[bytes]:
    """Yield whole lines in parts of at most `max_lines`, halved until they are small enough."""
    if data.count(b"\n") <= max_lines:
        yield from [data] if data else []
        return
    half = len(data) // 2
    end = data.rfind(b"\n", 0, half) + 1 or data.find(b"\n", half) + 1
    yield from _parts(data[:end], max_lines)
    yield from _parts(data[end:], max_lines)


def split_lines(data: bytes | memoryview) -> pa.BinaryArray:
    """Return an Arrow array whose values are the lines of `data`, line ends included."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    if len(data) and (not len(ends) or ends[-1] != len(data)):
        ends = np.append(ends, len(data))
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(ends), buffers)
