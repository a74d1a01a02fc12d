"""Implicit features: what the mere choice of what to rate says, before any rating is looked at.

Who rates what is no accident: people watch what they expect to like. The main
directions of the user-item matrix of ones, scaled by the roots of both counts,
describe each user and each item by some dozens of numbers, from which the
training predicts their vectors where their own ratings say little.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Flags, Rows

N_COUNTS: Final = 2  # features behind the directions: a one, and the log of the count

_POWER_STEPS: Final = 6


class ImplicitFeatures(NamedTuple):
    """Features, columns of about unit size, the N_COUNTS last ones included.

    Attributes:
        users: (n_users, n_features).
        items: (n_items, n_features).
    """

    users: AnyFloats
    items: AnyFloats


def find_implicit_features(
    ratings: sp.csr_matrix, drawn: Flags, n_tastes: int, seed: int
) -> ImplicitFeatures:
    """Describe users and items by who rates what.

    Args:
        ratings: (n_users, n_items), an entry where there is a rating.
        drawn: (n_users,) whose choices the directions are found by; all are described.
        n_tastes: Directions; fewer where there are fewer users or items.
        seed: Of the directions that the search begins with.

    Source:
        Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM
        Review 2011, algorithm 4.4: power steps, with a basis kept of the items alone.
    """
    per_user, per_item = (ratings.getnnz(axis=axis).astype(np.int64) for axis in (1, 0))
    by_user = np.repeat(1 / np.sqrt(np.maximum(per_user, 1)), per_user)
    by_item = (1 / np.sqrt(np.maximum(per_item, 1)))[ratings.indices]
    scaled = sp.csr_matrix((by_user * by_item, ratings.indices, ratings.indptr), ratings.shape)
    some = scaled if drawn.all() else scaled[drawn]
    n_users, n_items = some.shape
    width = min(n_tastes, n_users, n_items)
    basis = np.random.default_rng(seed).standard_normal((n_items, width))
    for _ in range(_POWER_STEPS if width else 0):
        basis = np.linalg.qr(np.asarray(some.T @ (some @ basis))).Q
    return ImplicitFeatures(
        _features(np.asarray(scaled @ basis), per_user), _features(basis, per_item)
    )


def _features(directions: AnyFloats, n_ratings: Rows) -> AnyFloats:
    size = np.sqrt(np.mean(directions**2, axis=0))
    activity = np.log1p(n_ratings)
    return np.column_stack(
        (
            directions / np.where(size > 0, size, 1),
            np.ones(len(activity)),
            activity - activity.mean(),
        )
    )
