"""Implicit features: users and items described by which pairs have a rating, whatever its value.

People choose what they rate: they watch what they expect to like. The leading
singular vectors of the binary user-item matrix, scaled by the roots of both counts,
describe each user and each item by some dozens of numbers. Training predicts the
vectors from them, which matters most for rows with few ratings.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Doubles, Flags, Rows

N_COUNT_FEATURES: Final = 2  # last columns: a constant 1, and the log of the number of ratings

_POWER_STEPS: Final = 6
_BLOCK_ROWS: Final = 1 << 14


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
    scale = np.repeat(1 / np.sqrt(np.maximum(per_user, 1)), per_user)
    scale *= (1 / np.sqrt(np.maximum(per_item, 1)))[ratings.indices]
    scaled = sp.csr_matrix((scale, ratings.indices, ratings.indptr), ratings.shape)
    sample = scaled if is_sampled.all() else scaled[is_sampled]
    n_users, n_items = sample.shape
    width = min(n_directions, n_users, n_items)
    basis = np.random.default_rng(seed).standard_normal((n_items, width))
    for _ in range(_POWER_STEPS if width else 0):
        basis = np.linalg.qr(np.asarray(sample.T @ (sample @ basis))).Q
    users = np.ones((len(per_user), width + N_COUNT_FEATURES))
    for block in _blocks(len(users)):
        users[block, :width] = np.asarray(scaled[block] @ basis)
    items = np.ones((len(per_item), width + N_COUNT_FEATURES))
    items[:, :width] = basis
    _scale(users, per_user)
    _scale(items, per_item)
    return ImplicitFeatures(users, items)


def _scale(features: Doubles, n_ratings: Rows) -> None:
    """Scale the directions among the features to about unit size, and set the counts.

    In blocks and in place: the features of all users may be gigabytes.
    """
    directions = features[:, :-N_COUNT_FEATURES]
    total = np.zeros(directions.shape[1])
    for block in _blocks(len(features)):
        squares = directions[block] ** 2
        squares[0] += total  # row after row, as a sum over all rows at once
        total = squares.sum(axis=0)
    size = np.sqrt(total / len(features))
    directions /= np.where(size > 0, size, 1)
    activity = np.log1p(n_ratings)
    features[:, -1] = activity - activity.mean()


def _blocks(n_rows: int) -> list[slice]:
    return [slice(begin, begin + _BLOCK_ROWS) for begin in range(0, n_rows, _BLOCK_ROWS)]
