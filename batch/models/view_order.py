"""The views of all users, user by user, each user's in the order of their times.

weights, by user and item       A  C  D │ B  C        times   20 30 10 │ 0  0 unknown
in the order of views           D  A  C │ C  B        at equal times a random order
moment                          0  1  2 │ 3  3        one number a user and time
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Codes, Integers, Times

_BLOCK_VIEWS: Final = 1 << 18  # views sorted at a time, which limits memory
_BLOCK_USERS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ViewOrder:
    """Views in order, and the place of each interaction among its user's.

    Attributes:
        starts: (n_users + 1,) number of views before each user's.
        user: (n_views,) user row of each view, ascending.
        item: (n_views,) item row of each view.
        moment: (n_views,) number that only views of one user at one time share, ascending.
        n_later: (n_interactions,) beside the weights' data: number of the user's items
            watched after, those at the same time not counted.
    """

    starts: Integers
    user: Codes
    item: Codes
    moment: Codes
    n_later: Codes


def order_views(weights: sp.csr_matrix, at: Times | None, seed: int, n_threads: int) -> ViewOrder:
    """Sort each user's interactions by time.

    Args:
        weights: (n_users, n_items) weights of the interactions.
        at: (n_interactions,) times beside `weights.data`, 0 where unknown: earlier than
            all others; None if all are unknown.
        seed: Random seed of the order of views at the same time.
        n_threads: Number of threads, which does not change the result.
    """
    n = weights.nnz
    n_of = np.diff(weights.indptr)
    user = np.repeat(np.arange(weights.shape[0], dtype=np.int32), n_of)
    item, n_later = np.empty(n, np.int32), np.empty(n, np.int32)
    is_first = np.empty(n, dtype=bool)  # whether the view before is of another moment

    def sort(bounds: tuple[int, int]) -> None:
        block = slice(*weights.indptr[list(bounds)])
        owner = user[block]
        when = np.zeros(len(owner), np.int64) if at is None else at[block]
        chance = np.random.default_rng([seed, bounds[0]]).random(len(owner), np.float32)
        order = np.lexsort((chance, when, owner))  # owners are ascending and stay in place
        item[block] = weights.indices[block][order]
        begins = np.ones(len(owner) + 1, dtype=bool)
        begins[1:-1] = (np.diff(owner) != 0) | (np.diff(when[order]) != 0)
        is_first[block] = begins[:-1]
        ends = np.flatnonzero(begins)[np.cumsum(begins[:-1])]  # of each view's moment
        n_later[block][order] = weights.indptr[owner + 1] - weights.indptr[bounds[0]] - ends

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(sort, blocks(weights.indptr, _BLOCK_VIEWS, _BLOCK_USERS)))
    return ViewOrder(weights.indptr, user, item, np.cumsum(is_first, dtype=np.int32), n_later)


def blocks(starts: Integers, max_entries: int, max_rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each block of rows and the row after its last.

    Args:
        starts: (n_rows + 1,) number of entries before each row, as in `indptr`.
        max_entries: Limit of a block's entries; a row with more is a block of its own.
        max_rows: Limit of a block's rows.
    """
    first, n_rows = 0, len(starts) - 1
    while first < n_rows:
        within = int(np.searchsorted(starts, starts[first] + max_entries, side="right")) - 1
        last = min(max(within, first + 1), first + max_rows, n_rows)
        yield first, last
        first = last
