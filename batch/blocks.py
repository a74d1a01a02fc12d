"""Blocks of users: much that is said of few users at a time fits a processor's cache.

user rows   7 2 9 4 1       block 0, users 0 to 4     rows 1 3 4
rows        0 1 2 3 4  ─►   block 1, users 5 to 9     rows 0 2
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.integer]

_EVENTS: Final = 1 << 20  # of a block, on average


class Blocks(NamedTuple):
    """Ranges of users.

    Attributes:
        n_users: All of them.
        users_each: How many a block has; the last one may have fewer.
        n_blocks: How many there are, at least 1.
    """

    n_users: int
    users_each: int
    n_blocks: int

    def users(self, block: int) -> range:
        """Return the user rows of a block."""
        first = block * self.users_each
        return range(first, min(first + self.users_each, self.n_users))

    def rows(self, user_row: Codes) -> list[Rows]:
        """Return for each block where its users stand in `user_row`, ascending.

        Args:
            user_row: (n,) of each row of a table.
        """
        begins, rows = by_counting(user_row // self.users_each, self.n_blocks)
        return np.split(rows, begins[1:-1])


def by_counting(code: Codes, n_codes: int) -> tuple[Rows, Rows]:
    """Sort rows by a code, those of one code in the order that they have.

    Args:
        code: (n,) below n_codes.
        n_codes: Few, beside the rows.

    Returns:
        (n_codes + 1,) where those of each code begin, and (n,) the rows.
    """
    n = len(code)
    numbers: Rows = np.arange(n, dtype=np.int32 if n < np.iinfo(np.int32).max else np.int64)
    columns = np.zeros(n, np.int32)
    table: Any = sp.coo_matrix((numbers, (code, columns)), (n_codes, 1))
    table.has_canonical_format = True  # not so, but else all of one code would be summed
    by_code = table.tocsr()
    return by_code.indptr, by_code.data


def blocks_of(n_users: int, n_events: int) -> Blocks:
    """Return blocks of users that have about a million events each."""
    users_each = max(-(-n_users // (n_events // _EVENTS + 1)), 1)
    return Blocks(n_users, users_each, max(-(-n_users // users_each), 1))
