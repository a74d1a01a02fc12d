"""Popular items: those with the most users; equal counts by weight, then by item row."""

from collections.abc import Collection
from typing import Final

import numpy as np

from batch.arrays import Rows
from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items

_CHUNK_SIZE: Final = 1 << 20  # interactions copied to 64 bits at a time


def popular_items(
    interactions: Interactions,
    n: int,
    hidden: Collection[int] = frozenset(),
    *,
    chunk_size: int = _CHUNK_SIZE,
) -> list[int]:
    """Return the n item rows with the most users, best first, without the hidden ones."""
    ranking = by_popularity(interactions, chunk_size)
    return [int(row) for row in ranking if row not in hidden][:n]


def by_popularity(interactions: Interactions, chunk_size: int = _CHUNK_SIZE) -> Rows:
    """Return all item rows with users, most users first."""
    weights = interactions.weights
    n_users, weight = users_of_items(weights), np.zeros(weights.shape[1])
    for begin in range(0, weights.nnz, chunk_size):
        chunk = slice(begin, begin + chunk_size)
        np.add.at(weight, weights.indices[chunk], weights.data[chunk].astype(np.float64))
    order = np.lexsort((np.arange(len(n_users)), -weight, -n_users))
    return order[: np.count_nonzero(n_users)]
