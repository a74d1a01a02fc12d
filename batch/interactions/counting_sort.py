"""Counting sort: sorts rows of few distinct codes at a few nanoseconds each."""

from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Codes, Integers

INT32: Final = np.iinfo(np.int32).max


def counting_sort(code: Codes, other: Codes, shape: tuple[int, int]) -> sp.csr_matrix:
    """Sort rows by a code; rows of one code keep their order.

    Args:
        code: (n,) codes below shape[0].
        other: (n,) second codes, below shape[1], which are permuted like the rows.
        shape: Number of codes and of second codes.

    Returns:
        CSR matrix in which row `c` holds the rows of code `c` as `data` and their second
        codes as `indices`. One cell may have several entries.
    """
    n = len(code)
    rows: Integers = np.arange(n, dtype=np.int32 if n < INT32 else np.int64)
    table: Any = sp.coo_matrix((rows, (code, other)), shape)
    table.has_canonical_format = True  # not true, but keeps scipy from summing entries of one cell
    by_code: sp.csr_matrix = table.tocsr()
    return by_code
