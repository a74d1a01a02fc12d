"""Blocks of users: the arrays of one block fit a processor's cache.

user rows   7 2 9 4 1       block 0, users 0 to 4     rows 1 3 4
rows        0 1 2 3 4  ─►   block 1, users 5 to 9     rows 0 2
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Codes, Integers
from batch.interactions.counting_sort import counting_sort

BLOCK_EVENTS: Final = 1 << 20  # in a block, on average


class Blocks(NamedTuple):
    """Ranges of users.

    Attributes:
        n_users: Number of all users.
        users_each: Users in each block; the last one may have fewer.
        n_blocks: Number of blocks, at least 1.
    """

    n_users: int
    users_each: int
    n_blocks: int

    def users(self, block: int) -> range:
        """Return the user rows of a block."""
        first = block * self.users_each
        return range(first, min(first + self.users_each, self.n_users))

    def rows(self, user_row: Codes) -> list[Integers]:
        """Return for each block the positions of its users in `user_row`, ascending.

        Args:
            user_row: (n,) user row of each row of a table.
        """
        block = user_row // self.users_each
        by_block = counting_sort(block, np.zeros_like(block), (self.n_blocks, 1))
        return np.split(by_block.data, by_block.indptr[1:-1])


def blocks_of(n_users: int, n_events: int, block_events: int = BLOCK_EVENTS) -> Blocks:
    """Return blocks of users that have about `block_events` events each."""
    users_each = max(-(-n_users // (n_events // block_events + 1)), 1)
    return Blocks(n_users, users_each, max(-(-n_users // users_each), 1))
