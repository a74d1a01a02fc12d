"""Sampling users, where all of them would be more than is needed.

    1,000,000 users ─► 160,000 of them ─► trial ─► factors of the items, and of these users
         `sample`                                       └─► `scatter_back` ─► one sweep over all

There are two limits: `sample_rows` limits the number of users, `sample_users` the number
of their interactions. Everything in the batch that samples users calls one of them.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags, Integers, Rows, Times
from batch.models.factors import Factors


def sample_rows(rows: Integers, max_rows: int, random: np.random.Generator) -> Rows:
    """Return at most `max_rows` of the rows, each equally likely, ascending."""
    chosen = random.choice(rows, min(max_rows, len(rows)), replace=False)
    return np.sort(chosen).astype(np.int64)


def sample_users(n_entries: Integers, max_entries: int, seed: int) -> Flags:
    """Return (n_users,) whether each user is in a sample limited by its entries.

    Args:
        n_entries: (n_users,) entries of each user.
        max_entries: Limit of the sample's entries; all users if they have no more. The
            sample holds at least one user.
        seed: Random seed of the sample.
    """
    if n_entries.sum() <= max_entries:
        return np.ones(len(n_entries), dtype=bool)
    order = np.random.default_rng(seed).permutation(len(n_entries))
    cumulated = np.cumsum(n_entries[order])
    n_sampled = max(int(np.searchsorted(cumulated, max_entries, side="right")), 1)
    is_sampled = np.zeros(len(n_entries), dtype=bool)
    is_sampled[order[:n_sampled]] = True
    return is_sampled


@dataclass(frozen=True, slots=True)
class UserSample:
    """Some users with all of their interactions.

    Attributes:
        user_rows: (n_sampled,) rows of the sampled users among all users, ascending.
        weights: (n_sampled, n_items) weights of their interactions.
        at: (n_interactions,) times beside `weights.data`; None if unknown.
        n_users: Number of all users, sampled or not.
    """

    user_rows: Rows
    weights: sp.csr_matrix
    at: Times | None
    n_users: int

    @property
    def is_complete(self) -> bool:
        """Whether every user is in the sample."""
        return len(self.user_rows) == self.n_users

    def restrict(self, factors: Factors | None) -> Factors | None:
        """Return the part of all users' factors that belongs to the sample."""
        if factors is None or self.is_complete:
            return factors
        return Factors(factors.user_factors[self.user_rows], factors.item_factors)


def sample(weights: sp.csr_matrix, at: Times | None, max_entries: int, seed: int) -> UserSample:
    """Sample users that have at most `max_entries` interactions together.

    Args:
        weights: (n_users, n_items) weights of all interactions; not modified.
        at: (n_interactions,) times beside `weights.data`; None if unknown.
        max_entries: Limit of the sample's interactions; all users if they have no more.
        seed: Random seed of the sample.
    """
    n_entries = np.diff(weights.indptr)
    is_sampled = sample_users(n_entries, max_entries, seed)
    user_rows = np.flatnonzero(is_sampled)
    if is_sampled.all():
        return UserSample(user_rows, weights, at, len(n_entries))
    sampled_at = None if at is None else at[np.repeat(is_sampled, n_entries)]
    return UserSample(user_rows, weights[user_rows], sampled_at, len(n_entries))


def scatter_back(factors: Factors, user_rows: Rows, n_users: int, start: Factors | None) -> Factors:
    """Return factors of all users: trained ones for a sample, else those of the start, or 0.

    Args:
        factors: Factors of the sampled users, and of all items.
        user_rows: (n_sampled,) rows of the sampled users among all users, ascending.
        n_users: Number of all users.
        start: Factors of all users before training; None if there were none.
    """
    if len(user_rows) == n_users:
        return factors
    users = np.zeros((n_users, factors.user_factors.shape[1]), np.float32)
    if start is not None:
        users[:] = start.user_factors
    users[user_rows] = factors.user_factors
    return Factors(users, factors.item_factors)
