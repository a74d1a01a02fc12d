"""Exact top-k of models that score every item: block by block, one pass over the scores.

    users of a block   ┌───────────────────────────────┐
                       │ scores of all items           │  seen and hidden items: -inf
                       │ ≥ a score that k items reach? │  few are, and only these are sorted
                       └───────────────────────────────┘

Blocks hold a fixed number of users, so that the last bit of a score does not depend on
the number of threads.
"""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Floats, Rows
from batch.threads import one_blas_thread, usable
from batch.topk import NO_ITEM, Execution, TopK
from batch.topk_candidates import reached_by

LOWEST: Final = np.finfo(np.float32).min  # above -inf, the score of hidden items
LOWEST_ABOVE_ZERO: Final = np.finfo(np.float32).smallest_subnormal
_BLOCK_BYTES: Final = 8 << 20  # of scores
_MIN_BLOCK_USERS, _MAX_BLOCK_USERS = 32, 1024


def block_users(n_items: int) -> int:
    """Return the number of users of a block."""
    return min(max(_BLOCK_BYTES // (4 * max(n_items, 1)), _MIN_BLOCK_USERS), _MAX_BLOCK_USERS)


def dense_top_k(
    scores: Callable[[Rows], Floats],
    seen: sp.csr_matrix,
    user_rows: Rows,
    k: int,
    hidden: Collection[int],
    execution: Execution,
) -> TopK:
    """Return each user's k best unseen items, best first.

    Args:
        scores: Function from rows of users to their (n, n_items) scores, which may be
            overwritten; called from several threads.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        user_rows: (n,) rows of the users to rank for.
        k: Items to keep for each user, at least 1.
        hidden: Item rows that are in no list.
        execution: Number of threads and callback.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    hidden_rows = np.array(sorted(hidden), np.int64)
    shape = (len(user_rows), k)
    lists = TopK(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))

    def fill(rows: Rows, block: slice) -> None:
        found = scores(rows)
        hide(found, seen, rows)
        found[:, hidden_rows] = -np.inf
        lists.item_rows[block], lists.scores[block] = best_of(found, k)

    for_each_block(fill, user_rows, seen.shape[1], execution)
    return lists


def for_each_block(
    action: Callable[[Rows, slice], object], user_rows: Rows, n_items: int, execution: Execution
) -> None:
    """Call a function for each block of users, from several threads.

    Args:
        action: Function of the rows of the block's users, and of its place among them.
        user_rows: (n,) rows of users.
        n_items: Number of items that are scored.
        execution: Number of threads and callback.
    """
    step = block_users(n_items)

    def act(first: int) -> None:
        block = slice(first, first + step)
        action(user_rows[block], block)
        execution.on_users(len(user_rows[block]))

    begins = range(0, len(user_rows), step)
    with one_blas_thread():
        if len(begins) == 1:  # in this thread: one user takes less time than a pool
            act(0)
            return
        with ThreadPoolExecutor(usable(execution.n_threads)) as pool:
            for done in [pool.submit(act, first) for first in begins]:
                done.result()


def hide(scores: AnyFloats, seen: sp.csr_matrix, user_rows: Rows) -> None:
    """Set the scores of seen items to -inf.

    Args:
        scores: (n, n_items) scores of the users of these rows, overwritten.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        user_rows: (n,) rows of the users.
    """
    user = np.repeat(np.arange(len(user_rows)), np.diff(seen.indptr)[user_rows])
    scores[user, seen.indices[entries_of(seen, user_rows)]] = -np.inf


def entries_of(weights: sp.csr_matrix, user_rows: Rows) -> Rows:
    """Return the positions in `weights.data` of all entries of these users, user by user."""
    n_items_of = np.diff(weights.indptr)[user_rows]
    shift = np.repeat(weights.indptr[user_rows] - (np.cumsum(n_items_of) - n_items_of), n_items_of)
    return np.asarray(shift + np.arange(int(n_items_of.sum())), np.int64)


def best_of(scores: Floats, k: int, lowest: np.float32 = LOWEST) -> TopK:
    """Return the k best items of each row; equal scores keep the lower item row first.

    Maxima of disjoint groups are scores of different items. So at least k items reach the
    k-th best of them, and only the few items that do are sorted.

    Args:
        scores: (n, n_items) scores.
        k: Items to keep for each row.
        lowest: Lowest score in a list; by default all but -inf.
    """
    n_users, n_items = scores.shape
    reached = np.full(n_users, lowest)
    if n_items >= k:
        reached = np.maximum(reached, reached_by(scores, k))
    found = np.flatnonzero(scores >= reached[:, None])  # by user, then by item
    user, score = found // n_items, scores.reshape(-1)[found]
    order = np.lexsort((-score, user))  # stable: ties keep the lower item row first
    n_found = np.bincount(user, minlength=n_users)
    place = np.arange(len(user)) - np.repeat(np.cumsum(n_found) - n_found, n_found)
    best = order[place < k]
    user, place = user[place < k], place[place < k]
    item_rows = np.full((n_users, k), NO_ITEM, np.int32)
    listed = np.full((n_users, k), -np.inf, np.float32)
    item_rows[user, place] = found[best] % n_items
    listed[user, place] = score[best]
    return TopK(item_rows, listed)
