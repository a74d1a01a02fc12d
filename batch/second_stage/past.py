"""The past: interactions that are known at a moment, and the time that a trend counts in.

past of training ──────────────┤ labels of training │
past of serving  ───────────────────────────────────┤ lists
one period
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.models.dense_topk import entries_of

DAY_SECONDS: Final = 86_400
_TIME_BITS: Final = 34  # of a key that sorts by user and time; seconds until the year 2514


@dataclass(frozen=True, slots=True)
class Past:
    """Interactions that are known at a moment.

    Attributes:
        weights: (n_users, n_items) weights of the interactions.
        at: (n_interactions,) seconds since 1970 beside `weights.data`, 0 if unknown; None
            if all are unknown.
        period_seconds: Length of the period that the lists are made for.
    """

    weights: sp.csr_matrix
    at: Times | None
    period_seconds: int = DAY_SECONDS

    @property
    def ages(self) -> Floats:
        """(n_interactions,) age of each interaction in periods; NaN if unknown."""
        if self.at is None:
            return np.full(self.weights.nnz, np.nan, np.float32)
        age = (self.at.max(initial=0) - self.at) / np.float32(self.period_seconds)
        return np.where(self.at > 0, age, np.nan).astype(np.float32)

    def latest(self, n: int) -> sp.csr_matrix:
        """Return (n_users, n_items) the weights of the latest n items of each user.

        All of them are returned if no time is known. Of equal times the higher item rows are
        the latest.
        """
        weights = self.weights
        if self.at is None:
            return weights
        n_items_of = np.diff(weights.indptr)
        user = np.repeat(np.arange(len(n_items_of)), n_items_of)
        order = np.argsort((user << _TIME_BITS) | np.maximum(self.at, 0), kind="stable")
        is_kept = weights.indptr[1:][user] - np.arange(len(user)) <= n
        kept = np.sort(order[is_kept])
        indptr = np.concatenate(([0], np.cumsum(np.minimum(n_items_of, n))))
        return sp.csr_matrix((weights.data[kept], weights.indices[kept], indptr), weights.shape)

    def of_users(self, user_rows: Rows) -> "Past":
        """Return the past of some of the users, in this order."""
        entries = entries_of(self.weights, user_rows)
        at = None if self.at is None else self.at[entries]
        return Past(self.weights[user_rows], at, self.period_seconds)
