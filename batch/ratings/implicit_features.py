"""Implicit features: users and items described by which pairs have a rating, whatever its value.

People choose what they rate: they watch what they expect to like. The leading
singular vectors of the binary user-item matrix, scaled by the roots of both counts,
describe each user and each item by some dozens of numbers. Training predicts the
vectors from them, which matters most for rows with few ratings.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Flags, Rows

N_COUNT_FEATURES: Final = 2  # last columns: a constant 1, and the log of the number of ratings

_POWER_STEPS: Final = 6


class ImplicitFeatures(NamedTuple):
    """Features, columns of about unit size, the N_COUNT_FEATURES last ones included.

    Attributes:
        users: (n_users, n_features).
        items: (n_items, n_features).
    """

    users: AnyFloats
    items: AnyFloats


def find_implicit_features(
    ratings: sp.csr_matrix, is_sampled: Flags, n_directions: int, seed: int
) -> ImplicitFeatures:
    """Describe users and items by which pairs have a rating.

    Args:
        ratings: (n_users, n_items), an entry for each rating.
        is_sampled: (n_users,) users whose rows the directions are found from; all get features.
        n_directions: Number of singular vectors; fewer where there are fewer users or items.
        seed: Random seed of the starting basis.

    Source:
        Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM
        Review 2011, algorithm 4.4: power steps, with a basis kept of the items alone.
    """
    per_user, per_item = (ratings.getnnz(axis=axis).astype(np.int64) for axis in (1, 0))
    by_user = np.repeat(1 / np.sqrt(np.maximum(per_user, 1)), per_user)
    by_item = (1 / np.sqrt(np.maximum(per_item, 1)))[ratings.indices]
    scaled = sp.csr_matrix((by_user * by_item, ratings.indices, ratings.indptr), ratings.shape)
    sample = scaled if is_sampled.all() else scaled[is_sampled]
    n_users, n_items = sample.shape
    width = min(n_directions, n_users, n_items)
    basis = np.random.default_rng(seed).standard_normal((n_items, width))
    for _ in range(_POWER_STEPS if width else 0):
        basis = np.linalg.qr(np.asarray(sample.T @ (sample @ basis))).Q
    return ImplicitFeatures(
        _features(np.asarray(scaled @ basis), per_user), _features(basis, per_item)
    )


def _features(directions: AnyFloats, n_ratings: Rows) -> AnyFloats:
    """Return the features; `directions` may be gigabytes, and is copied once."""
    n_rows, width = directions.shape
    size = np.sqrt(np.mean(directions**2, axis=0))
    activity = np.log1p(n_ratings)
    features = np.ones((n_rows, width + N_COUNT_FEATURES))
    np.divide(directions, np.where(size > 0, size, 1), out=features[:, :width])
    features[:, -1] = activity - activity.mean()
    return features
