"""Tokens: lines of delimited text as columns of text, each row with the line it came from.

lines ─► without unbalanced quotes ─► one byte as separator ─► pyarrow's CSV parser ─► columns

A line with too few or too many fields is no row; its position is returned.
"""

import codecs
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from batch.arrays import Flags, Rows
from batch.columns.dialect import BLANK, Dialect

CODED: Final = pa.dictionary(pa.int32(), pa.string())
_UNIT: Final = b"\x1f"  # stands for `::`; no id has it
_NOT_UNIT: Final = b"\x1e"
_NOT_LINE_END: Final = b"\x0b"  # stands for a CR within a line
_AS_ASCII: Final = bytes(min(byte, 0x7F) for byte in range(256))  # neither is part of an id
_MARKS: Final = re.compile(b"(?m)^(?:" + codecs.BOM_UTF8 + b")+")
_QUOTE: Final = ord('"')


class Tokens(NamedTuple):
    """Columns of some lines.

    Attributes:
        columns: Text of each column that was asked for, (n_rows,).
        rows: (n_rows,) positions of the rows' lines, ascending.
        uneven: Positions of the lines that are no row, ascending.
    """

    columns: tuple[pa.Array, ...]
    rows: Rows
    uneven: Rows


class Tokenizer:
    """Splits lines into columns.

    Args:
        dialect: Dialect of the lines.
        columns: Columns to return, counted from 0.
        coded: Which of these are dictionary-encoded, as are ids and ratings.
    """

    def __init__(self, dialect: Dialect, columns: Sequence[int], coded: Sequence[bool]) -> None:
        self._dialect = dialect
        names = [str(column) for column in range(dialect.n_columns)]
        wanted = [str(column) for column in columns]
        kinds = [CODED if is_coded else pa.string() for is_coded in coded]
        self._names = names
        self._convert = csv.ConvertOptions(
            check_utf8=False,
            column_types=dict(zip(wanted, kinds, strict=True)),
            strings_can_be_null=False,
            include_columns=wanted,
        )
        self._blanks = _blanks(dialect)

    def __call__(self, lines: pa.BinaryArray) -> Tokens:
        """Return the columns of whole lines, line ends included."""
        is_balanced = self._balanced(lines)
        kept = np.arange(len(lines))
        if is_balanced is not None and not is_balanced.all():
            kept = np.flatnonzero(is_balanced)
            lines = lines.take(pa.array(kept))
        columns, uneven = self._parse(lines)
        is_row = np.ones(len(kept), dtype=bool)
        is_row[uneven] = False
        rows = kept[is_row]
        is_uneven = np.ones(len(is_balanced) if is_balanced is not None else len(kept), dtype=bool)
        is_uneven[rows] = False
        return Tokens(columns, rows, np.flatnonzero(is_uneven))

    def _balanced(self, lines: pa.BinaryArray) -> Flags | None:
        """Return which lines have an even number of quotes; None if there are no quotes."""
        data, begins = line_bytes(lines)
        if not self._dialect.is_quoted or not len(lines) or b'"' not in data:
            return None
        n_quotes = np.append(0, np.cumsum(np.frombuffer(data, np.uint8) == _QUOTE))
        ends = np.append(begins[1:], len(data))
        is_even: Flags = (n_quotes[ends] - n_quotes[begins]) % 2 == 0
        return is_even

    def _parse(self, lines: pa.BinaryArray) -> tuple[tuple[pa.Array, ...], Rows]:
        """Return the columns, and the positions of the lines that are no row."""
        data = self._separated(line_bytes(lines)[0])
        columns, uneven = self._read(data)
        if len(columns[0]) + len(uneven) == len(lines):
            return columns, uneven
        if len(lines) == 1:  # quotes that open and close elsewhere than they should
            return tuple(column[:0] for column in columns), np.zeros(1, np.int64)
        half = len(lines) // 2
        (first, bad), (second, more) = self._parse(lines[:half]), self._parse(lines[half:])
        both = (
            pa.chunked_array(parts).unify_dictionaries().combine_chunks()
            for parts in zip(first, second, strict=True)
        )
        return tuple(both), np.append(bad, half + more)

    def _separated(self, data: bytes) -> bytes:
        """Return the text with one byte as separator, and LF or CRLF as line ends."""
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", _NOT_LINE_END)
        if not data.isascii():
            data = _without_marks(data)
        if self._dialect.separator == "::":
            data = data.replace(_UNIT, _NOT_UNIT).replace(b"::", _UNIT)
        for pattern, separator in self._blanks:
            data = pattern.sub(separator, data)
        return data

    def _read(self, data: bytes) -> tuple[tuple[pa.Array, ...], Rows]:
        if not data:
            types = (self._convert.column_types[n] for n in self._convert.include_columns)
            return tuple(pa.array([], kind) for kind in types), np.zeros(0, np.int64)
        uneven: list[int] = []

        def skip(row: csv.InvalidRow) -> str:
            uneven.append(row.number - 1)
            return "skip"

        is_quoted, separator = self._dialect.is_quoted, self._dialect.separator
        parse = csv.ParseOptions(
            delimiter=_UNIT.decode() if separator == "::" else separator,
            quote_char='"' if is_quoted else False,
            double_quote=is_quoted,
            newlines_in_values=is_quoted,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        )
        read = csv.ReadOptions(
            use_threads=False, column_names=self._names, block_size=len(data) + 1
        )
        table = csv.read_csv(pa.BufferReader(data), read, parse, self._convert)
        columns = tuple(column.combine_chunks() for column in table.columns)
        return columns, np.array(uneven, np.int64)


def line_bytes(lines: pa.BinaryArray) -> tuple[bytes, Rows]:
    """Return the bytes of consecutive lines, and where each begins among them."""
    _, offsets, data = lines.buffers()
    bounds = np.frombuffer(offsets, np.int32)[lines.offset :][: len(lines) + 1].astype(np.int64)
    whole = memoryview(data or b"")[bounds[0] : bounds[-1]] if len(lines) else memoryview(b"")
    return bytes(whole), bounds[:-1] - bounds[0]


def _without_marks(data: bytes) -> bytes:
    """Return text without byte order marks, which concatenated files have at any line; as UTF-8."""
    if codecs.BOM_UTF8 in data:
        data = _MARKS.sub(b"", data)
    try:
        data.decode()
    except UnicodeDecodeError:  # an uneven row could not be handed over as text
        return data.translate(_AS_ASCII)
    return data


def _blanks(dialect: Dialect) -> tuple[tuple[re.Pattern[bytes], bytes], ...]:
    """Return what is replaced until fields stand between bare separators."""
    at_ends = re.compile(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)"), b""
    if dialect.separator == BLANK:
        return at_ends, (re.compile(rb"[ \t]+"), b" ")
    if not dialect.has_blanks:
        return ()
    separator = _UNIT if dialect.separator == "::" else dialect.separator.encode()
    around = re.compile(rb" *" + re.escape(separator) + rb" *"), separator
    return (around,) if separator == b"\t" else (at_ends, around)
