"""Sorting by counting: rows of few codes, at a few nanoseconds each."""

from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Codes, Integers

INT32: Final = np.iinfo(np.int32).max


def counting_sort(code: Codes, other: Codes, shape: tuple[int, int]) -> sp.csr_matrix:
    """Sort rows by a code, those of one code in the order that they have.

    Args:
        code: (n,) below shape[0].
        other: (n,) below shape[1], to be sorted beside it.
        shape: How many codes there are.

    Returns:
        Whose `indptr` says where each code begins, `data` which rows these are, and
        `indices` the other codes. It may have several entries in one place.
    """
    n = len(code)
    rows: Integers = np.arange(n, dtype=np.int32 if n < INT32 else np.int64)
    table: Any = sp.coo_matrix((rows, (code, other)), shape)
    table.has_canonical_format = True  # not so, but else entries of one place would be summed
    by_code: sp.csr_matrix = table.tocsr()
    return by_code
