"""Users drawn by lot for a trial: the items' vectors need many users, but not all.

    1,000,000 users ─► 160,000 of them ─► trial ─► vectors of items, and of these users
                                                        └─► one sweep over everybody

Where everybody is few enough, everybody is drawn.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.models.holdout import entries_of
from batch.models.least_squares import Model
from batch.sampling import sample_users


@dataclass(frozen=True, slots=True)
class UserSample:
    """Some users, with all that they have.

    Attributes:
        user_rows: (n_drawn,) ascending, among all users.
        weights: (n_drawn, n_items).
        at: Beside `weights.data`; None if unknown.
        n_users: All of them.
    """

    user_rows: Rows
    weights: sp.csr_matrix
    at: Times | None
    n_users: int

    @property
    def is_everybody(self) -> bool:
        """Whether nobody was left out."""
        return len(self.user_rows) == self.n_users

    def only(self, start: Model | None) -> Model | None:
        """Return these users' part of everybody's factors."""
        if start is None or self.is_everybody:
            return start
        return Model(start.user_factors[self.user_rows], start.item_factors)


def scatter_back(model: Model, user_rows: Rows, n_users: int, start: Model | None) -> Model:
    """Return everybody's factors: some users' own, the others' as at the start, or 0.

    Args:
        model: Factors of these users.
        user_rows: (n_some,) ascending, their rows among all.
        n_users: All of them.
        start: Of everybody, before these were trained.
    """
    if len(user_rows) == n_users:
        return model
    users = np.zeros((n_users, model.user_factors.shape[1]), np.float32)
    if start is not None:
        users[:] = start.user_factors
    users[user_rows] = model.user_factors
    return Model(users, model.item_factors)


def draw(weights: sp.csr_matrix, at: Times | None, most: int, seed: int) -> UserSample:
    """Draw as many users as have `most` interactions together; all, if they have no more.

    Args:
        weights: (n_users, n_items); it stays as it is.
        at: (n_interactions,) beside `weights.data`; None if unknown.
        most: Interactions wanted.
        seed: Of the lot.
    """
    user_rows = np.flatnonzero(sample_users(np.diff(weights.indptr), most, seed))
    n_users = weights.shape[0]
    if len(user_rows) == n_users:
        return UserSample(user_rows, weights, at, n_users)
    their_at = None if at is None else at[entries_of(weights, user_rows)]
    return UserSample(user_rows, weights[user_rows], their_at, n_users)
