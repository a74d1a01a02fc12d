"""A small holdout inside of training: one item each of some users, to choose by.

It decides when ALS may stop and how much popularity counts. What a model is worth
is told by `batch.evaluation`, on data that no choice has seen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.models.factors import FittedFactors
from batch.topk import TopK

_K: Final = 20
_GAIN: Final = 0.002  # a sweep that adds a smaller share to the best NDCG gains nothing
_PATIENCE: Final = 2  # such sweeps in a row


@dataclass(frozen=True, slots=True)
class Holdout:
    """Weights without one item of some users.

    Attributes:
        weights: (n_users, n_items) what is left.
        user_rows: (n,) ascending, the users that lost one.
        item_rows: (n,) what each of them lost.
    """

    weights: sp.csr_matrix
    user_rows: Rows
    item_rows: Rows

    def ndcg(self, lists: TopK) -> npt.NDArray[np.float64]:
        """Return (n,) 1 / log2(1 + place) of each user's item in their list, 0 if absent."""
        user, place = np.nonzero(lists.item_rows == self.item_rows[:, None])
        gain = np.zeros(len(self.user_rows))
        gain[user] = 1 / np.log2(place + 2)
        return gain


def hold_out(weights: sp.csr_matrix, at: Times | None, n_users: int, seed: int) -> Holdout:
    """Take one item from at most `n_users` users that have 2 or more.

    Args:
        weights: (n_users, n_items); it stays as it is.
        at: (n_interactions,) when, beside `weights.data`: the latest item is
            taken. Without times (None), or at equal times, a random one.
        n_users: Most users to take one from; 0 takes none.
        seed: Of the users, and of the items where no time decides.
    """
    n_had = np.diff(weights.indptr)
    random = np.random.default_rng(seed)
    able = np.flatnonzero(n_had >= 2)
    user_rows = np.sort(random.choice(able, min(n_users, len(able)), replace=False))
    entry = entries_of(weights, user_rows)
    user = np.repeat(np.arange(len(user_rows)), n_had[user_rows])
    when = at[entry] if at is not None else np.zeros(len(entry), np.int64)
    order = np.lexsort((random.random(len(entry)), when, user))
    last = order[np.cumsum(n_had[user_rows]) - 1]
    taken = entry[last]
    return Holdout(without(weights, taken), user_rows, weights.indices[taken].astype(np.int64))


def entries_of(weights: sp.csr_matrix, user_rows: Rows) -> Rows:
    """Return the places in `weights.data` of all that these users have, user by user."""
    n_had = np.diff(weights.indptr)[user_rows]
    shift = np.repeat(weights.indptr[user_rows] - (np.cumsum(n_had) - n_had), n_had)
    return np.asarray(shift + np.arange(int(n_had.sum())), np.int64)


def without(weights: sp.csr_matrix, entries: Rows) -> sp.csr_matrix:
    """Return a copy of the weights that lacks the entries at these places of `data`."""
    is_kept = np.ones(weights.nnz, dtype=bool)
    is_kept[entries] = False
    kept_before = np.concatenate(([0], np.cumsum(is_kept)))
    return sp.csr_matrix(
        (weights.data[is_kept], weights.indices[is_kept], kept_before[weights.indptr]),
        shape=weights.shape,
    )


class EarlyStopping:
    """Says when the holdout's NDCG has stopped to rise.

    Attributes:
        n_seen: Sweeps judged so far.
        best: The best NDCG@20 so far.
    """

    def __init__(self, held: Holdout, n_threads: int) -> None:
        self.n_seen = 0
        self.best = 0.0
        self._held = held
        self._n_threads = n_threads
        self._n_idle = 0

    def __call__(self, factors: tuple[Floats, Floats]) -> bool:
        """Judge the factors of users and items after a sweep; True if it was enough."""
        fitted = FittedFactors(*factors, self._held.weights, lambda _: factors[0])
        lists = fitted.top_k(_K, user_rows=self._held.user_rows, n_threads=self._n_threads)
        ndcg = float(self._held.ndcg(lists).mean())
        self._n_idle = 0 if ndcg > self.best * (1 + _GAIN) else self._n_idle + 1
        self.best = max(self.best, ndcg)
        self.n_seen += 1
        return self._n_idle >= _PATIENCE
