"""The digest of the rows that were read: the same rows give the same one, in any order.

    row ─► 2 × 64 bits ─┐
    row ─► 2 × 64 bits ─┼─ sum ─► 128 bits, for the manifest
    row ─► 2 × 64 bits ─┘

A server returns rows in any order, and sorting them would cost it more than reading. The
digest finds every change of data by accident; it is no protection against intent.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Hashes

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_FACTORS: Final = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_SHIFT: Final = np.uint64(33)
_MASK: Final = (1 << 64) - 1


class RowDigest:
    """Number and digest of rows.

    Attributes:
        n_rows: Number of rows.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._sums = [0, 0]

    def add(self, columns: Iterable[pa.Array]) -> None:
        """Add rows.

        Args:
            columns: Columns of the rows, of equal length.
        """
        row = row_hashes(columns)
        self.n_rows += len(row)
        for half, hashes in enumerate((row, _mixed(row + _ODD))):
            self._sums[half] += int(hashes.sum(dtype=np.uint64))

    @property
    def hexdigest(self) -> str:
        """The digest in 32 hexadecimal digits."""
        return "".join(f"{half & _MASK:016x}" for half in self._sums)


def row_hashes(columns: Iterable[pa.Array]) -> Hashes:
    """Return a hash of each row.

    Args:
        columns: Columns of the rows, at least one, of equal length.
    """
    row = np.zeros(1, np.uint64)
    for column in columns:
        row = _mixed(row * _ODD + _hashes(column))
    return row


def _hashes(column: pa.Array) -> Hashes:
    """Return a hash of each value; null has one of its own."""
    is_null = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        known = pc.fill_null(column.cast(pa.float64()), 0.0)
    elif pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        known = pc.fill_null(column.cast(pa.int64(), safe=False), 0)
    else:
        return np.where(is_null, _ODD, _text_hashes(column))
    values = np.ascontiguousarray(known.to_numpy(zero_copy_only=False)).view(np.uint64)
    return np.where(is_null, _ODD, values)


def _text_hashes(column: pa.Array) -> Hashes:
    coded = column if pa.types.is_dictionary(column.type) else _texts(column).dictionary_encode()
    texts = np.array([*coded.dictionary.to_pylist(), ""], dtype=object)
    of_text: Hashes = pd.util.hash_array(texts, categorize=False)
    hashes: Hashes = of_text[
        pc.fill_null(coded.indices, len(texts) - 1).to_numpy(zero_copy_only=False)
    ]
    return hashes


def _texts(column: pa.Array) -> pa.Array:
    """Return values as text, such as those of lists."""
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        return pa.array([None if value is None else str(value) for value in column.to_pylist()])


def _mixed(values: Hashes) -> Hashes:
    """Return values with every bit spread over all bits (the finalizer of MurmurHash3)."""
    for factor in _FACTORS:
        values = (values ^ (values >> _SHIFT)) * factor
    return values ^ (values >> _SHIFT)
