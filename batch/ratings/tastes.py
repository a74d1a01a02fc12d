"""Tastes: what the mere choice of what to rate says, before any rating is looked at.

Who rates what is no accident: people watch what they expect to like. The main
directions of the user-item matrix of ones, scaled by the roots of both counts,
describe each user and each item by some dozens of numbers, from which the
training predicts their vectors where their own ratings say little.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.ratings.model import Floats, Rows

N_COUNTS: Final = 2  # features behind the directions: a one, and the log of the count

_POWER_STEPS: Final = 6


class Tastes(NamedTuple):
    """Features, columns of about unit size, the N_COUNTS last ones included.

    Attributes:
        users: (n_users, n_features).
        items: (n_items, n_features).
    """

    users: Floats
    items: Floats


def find_tastes(is_rated: sp.csr_matrix, n_tastes: int, seed: int) -> Tastes:
    """Describe users and items by who rates what.

    Args:
        is_rated: (n_users, n_items), 1 where there is a rating.
        n_tastes: Directions; fewer where there are fewer users or items.
        seed: Of the directions that the search begins with.

    Source:
        Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM
        Review 2011, algorithm 4.4: power steps, with a basis kept of the items alone.
    """
    per_user, per_item = (is_rated.getnnz(axis=axis).astype(np.int64) for axis in (1, 0))
    scaled = (
        sp.diags_array(1 / np.sqrt(np.maximum(per_user, 1)))
        @ is_rated
        @ sp.diags_array(1 / np.sqrt(np.maximum(per_item, 1)))
    ).tocsr()
    n_users, n_items = scaled.shape
    width = min(n_tastes, n_users, n_items)
    basis = np.random.default_rng(seed).standard_normal((n_items, width))
    for _ in range(_POWER_STEPS if width else 0):
        basis = np.linalg.qr(scaled.T @ (scaled @ basis)).Q
    return Tastes(_features(scaled @ basis, per_user), _features(basis, per_item))


def _features(directions: Floats, n_ratings: Rows) -> Floats:
    size = np.sqrt(np.mean(directions**2, axis=0))
    activity = np.log1p(n_ratings)
    return np.column_stack(
        (
            directions / np.where(size > 0, size, 1),
            np.ones(len(activity)),
            activity - activity.mean(),
        )
    )
