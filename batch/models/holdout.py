"""A small holdout inside of training: one item each of some users, to choose parameters on.

It decides when ALS stops and how much popularity counts. The quality of a model is
measured by `batch.evaluation` instead, on a test set that no choice has used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Rows, Times
from batch.models.dense_topk import entries_of
from batch.models.factors import Factors, FittedFactors
from batch.sampling import sample_rows
from batch.topk import TopK

_K: Final = 20
_MIN_GAIN: Final = 0.002  # share of the best NDCG that a sweep must add to count as a gain
_PATIENCE: Final = 2  # sweeps in a row without a gain, after which training stops


@dataclass(frozen=True, slots=True)
class Holdout:
    """Weights without one item of some users.

    Attributes:
        weights: (n_users, n_items) weights without the held-out items.
        user_rows: (n,) rows of the users with a held-out item, ascending.
        item_rows: (n,) row of each of these users' held-out item.
    """

    weights: sp.csr_matrix
    user_rows: Rows
    item_rows: Rows

    def ndcg(self, lists: TopK) -> Doubles:
        """Return (n,) 1 / log2(1 + rank) of each user's item in their list, 0 if absent."""
        user, place = np.nonzero(lists.item_rows == self.item_rows[:, None])
        gain = np.zeros(len(self.user_rows))
        gain[user] = 1 / np.log2(place + 2)
        return gain


def hold_out(weights: sp.csr_matrix, at: Times | None, n_users: int, seed: int) -> Holdout:
    """Hold out one item each of at most `n_users` users that have 2 or more.

    Args:
        weights: (n_users, n_items) weights of all interactions; not modified.
        at: (n_interactions,) times beside `weights.data`: the latest item is held
            out. Without times (None), or at equal times, a random one.
        n_users: Maximum users to hold out an item of; 0: an empty holdout.
        seed: Random seed of the users, and of the items where times do not decide.
    """
    n_items_of = np.diff(weights.indptr)
    random = np.random.default_rng(seed)
    user_rows = sample_rows(np.flatnonzero(n_items_of >= 2), n_users, random)
    entry = entries_of(weights, user_rows)
    user = np.repeat(np.arange(len(user_rows)), n_items_of[user_rows])
    when = at[entry] if at is not None else np.zeros(len(entry), np.int64)
    order = np.lexsort((random.random(len(entry)), when, user))
    last = order[np.cumsum(n_items_of[user_rows]) - 1]
    held_out = entry[last]
    item_rows = weights.indices[held_out].astype(np.int64)
    return Holdout(without(weights, held_out), user_rows, item_rows)


def without(weights: sp.csr_matrix, entries: Rows) -> sp.csr_matrix:
    """Return a copy of the weights that lacks the entries at these positions of `data`."""
    is_kept = np.ones(weights.nnz, dtype=bool)
    is_kept[entries] = False
    kept_before = np.concatenate(([0], np.cumsum(is_kept)))
    return sp.csr_matrix(
        (weights.data[is_kept], weights.indices[is_kept], kept_before[weights.indptr]),
        shape=weights.shape,
    )


class EarlyStopping:
    """Ends training when the holdout's NDCG has stopped rising.

    Attributes:
        n_seen: Sweeps evaluated so far.
        best: The best NDCG@20 so far.
    """

    def __init__(self, held: Holdout, n_threads: int) -> None:
        self.n_seen = 0
        self.best = 0.0
        self._held = held
        self._n_threads = n_threads
        self._n_idle = 0

    def __call__(self, factors: Factors) -> bool:
        """Evaluate the factors after a sweep; return whether training should stop."""
        users, items = factors.user_factors, factors.item_factors.copy()  # training changes them
        fitted = FittedFactors(users, items, self._held.weights, lambda _: users)
        lists = fitted.top_k(_K, user_rows=self._held.user_rows, n_threads=self._n_threads)
        ndcg = float(self._held.ndcg(lists).mean())
        self._n_idle = 0 if ndcg > self.best * (1 + _MIN_GAIN) else self._n_idle + 1
        self.best = max(self.best, ndcg)
        self.n_seen += 1
        return self._n_idle >= _PATIENCE
