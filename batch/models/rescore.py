"""Exact re-scoring: a list does not depend on how its candidates were scored.

    product of matrices ─► the k + 6 best of each user ─► each scored by one inner product ─► k

The last bits of a product of matrices depend on its shape, so a user among others may have
other ones than a user alone, and nearly equal items the other order. The inner product of two
vectors has no such freedom. An item beyond the candidates cannot belong to the list while
the k-th best is above the last candidate by more than products can err; the few users
whose list is not so clear have all items scored that way.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import AnyFloats, Floats, ItemRows, Rows
from batch.models.dense_topk import best_of
from batch.models.norms import kept_norm_bounds
from batch.threads import one_blas_thread, usable
from batch.topk import NO_ITEM, TopK

N_SPARE: Final = 6  # candidates behind the k that are kept
_BLOCK_USERS: Final = 256
_GATHERED_BYTES: Final = 4 << 20  # factors of candidates at a time, which limits memory

# Function that sets scores of users' seen and hidden items to -inf, given the rows of the users
Hide = Callable[[AnyFloats, Rows], None]


class Scoring(NamedTuple):
    """Scores of some users: inner products, and what is added to them.

    Attributes:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
        hide: Function that hides items of the users, whose rows are those of `user_factors`.
        added: (n_users, n_items) scores that are added; None: none.
    """

    user_factors: Floats
    item_factors: Floats
    hide: Hide
    added: Floats | None = None

    @property
    def is_exact(self) -> bool:
        """Whether a score is one product, which is rounded alike in every shape."""
        return self.item_factors.shape[1] == 1 and self.added is None

    def of_candidates(self, item_rows: ItemRows) -> Floats:
        """Return (n_users, n) the scores of each user's items."""
        scores = np.empty(item_rows.shape, np.float32)
        step = max(_GATHERED_BYTES // max(item_rows[:1].size * self.item_factors[:1].nbytes, 1), 1)
        for first in range(0, len(scores), step):
            some = slice(first, first + step)
            items, users = self.item_factors[item_rows[some]], self.user_factors[some]
            scores[some] = np.vecdot(items, users[:, None, :])
        if self.added is not None:
            scores += np.take_along_axis(self.added, item_rows.astype(np.int64), axis=1)
        return scores + np.float32(0)  # -0.0 becomes 0.0: they are a tie

    def of(self, user: int, item_rows: Rows | slice) -> Floats:
        """Return the scores of some items for one user."""
        scores: Floats = np.vecdot(self.item_factors[item_rows], self.user_factors[user])
        if self.added is not None:
            scores += self.added[user, item_rows]
        return scores + np.float32(0)

    def errors(self) -> Floats:
        """Return (n_users,) bounds of the difference of two ways to compute a score.

        Source:
            Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1.
        """
        eps, n_factors = np.finfo(np.float32).eps, self.item_factors.shape[1]
        norms = np.sqrt(np.vecdot(self.user_factors, self.user_factors))
        errors = (n_factors + 1) * eps * norms * kept_norm_bounds(self.item_factors).max(initial=0)
        if self.added is not None:
            errors += 2 * eps * np.abs(self.added).max(axis=1, initial=0)
        return np.asarray(errors, np.float32)


def rescored(found: TopK, k: int, scoring: Scoring) -> TopK:
    """Return the k best items of each user by exact scores; equal ones keep the lower row first.

    Args:
        found: (n_users, k + N_SPARE) best items by approximate scores.
        k: Items to keep for each user.
        scoring: Exact scores of the same users.
    """
    scores = scoring.of_candidates(np.maximum(found.item_rows, 0))
    scores[found.item_rows == NO_ITEM] = -np.inf
    order = np.lexsort((found.item_rows, -scores))[:, :k]
    best = TopK(
        np.take_along_axis(found.item_rows, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
    )
    last, errors = found.scores[:, -1], scoring.errors()
    is_unclear = np.isfinite(last) & (errors > 0) & (best.scores[:, -1] <= last + errors)
    for user in np.flatnonzero(is_unclear).tolist():
        every = scoring.of(user, slice(None))[None]
        scoring.hide(every, np.array([user]))
        best.item_rows[user], best.scores[user] = (part[0] for part in best_of(every, k))
    return best


def rescored_in_blocks(found: TopK, k: int, scoring: Scoring, n_threads: int) -> TopK:
    """Return the k best items by exact scores, block by block of users; see `rescored`.

    They are written over `found`, which takes hundreds of megabytes for a million users.
    """
    best = TopK(found.item_rows[:, :k], found.scores[:, :k])
    if scoring.is_exact:
        return best

    def settle(first: int) -> None:
        block = slice(first, first + _BLOCK_USERS)
        part = scoring._replace(
            user_factors=scoring.user_factors[block],
            hide=lambda scores, rows: scoring.hide(scores, rows + first),
        )
        lists = rescored(TopK(found.item_rows[block], found.scores[block]), k, part)
        best.item_rows[block], best.scores[block] = lists

    begins = range(0, len(found.item_rows), _BLOCK_USERS)
    with one_blas_thread():
        if len(begins) == 1:  # in this thread: one user takes less time than a pool
            settle(0)
        else:
            with ThreadPoolExecutor(usable(n_threads)) as pool:
                list(pool.map(settle, begins))
    return best
