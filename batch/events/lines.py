"""A text file as blocks of whole lines, each block one Arrow array without a copy per line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.errors import InputError
from batch.files import open_input

BLOCK_BYTES: Final = 1 << 23
MAX_LINE_BYTES: Final = 1 << 26


class Block(NamedTuple):
    """Consecutive whole lines of a file.

    Attributes:
        lines: Lines as binary, each with its line end.
        first_number: Line number of the first, counted from 1.
    """

    lines: pa.BinaryArray
    first_number: int


def read_blocks(
    path: Path, block_bytes: int = BLOCK_BYTES, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Block]:
    """Yield a file's lines in order; a last line without a line end is a line too.

    Args:
        path: Text file, plain or gzip.
        block_bytes: Bytes that are read at a time.
        max_line_bytes: Length of the longest line that is read.

    Raises:
        InputError: The file cannot be read, or a line is too long.
    """
    number = 1
    rest = b""
    with open_input(path) as file:
        while data := file.read(block_bytes):
            data = rest + data
            n_whole = data.rfind(b"\n") + 1
            rest = data[n_whole:]
            if len(rest) > max_line_bytes:
                number += data.count(b"\n")
                problem = f"line {number} is longer than {max_line_bytes} bytes"
                raise InputError(path, problem, "give a file of text lines")
            if n_whole:
                lines = split_lines(memoryview(data)[:n_whole])
                yield Block(lines, number)
                number += len(lines)
    if rest:
        yield Block(split_lines(rest), number)


def split_lines(data: bytes | memoryview) -> pa.BinaryArray:
    """Return an Arrow array whose values are the lines of `data`, line ends included."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    if len(data) and (not len(ends) or ends[-1] != len(data)):
        ends = np.append(ends, len(data))
    offsets = np.concatenate(([0], ends)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(ends), buffers)
