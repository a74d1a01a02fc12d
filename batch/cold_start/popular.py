"""Popular: what most users have had to do with, equal counts by weight and then by item row."""

from collections.abc import Collection
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items

_CHUNK: Final = 1 << 20  # interactions of which there are copies in 64 bits


def popular_items(
    interactions: Interactions, n: int, hidden: Collection[int] = frozenset()
) -> list[int]:
    """Return the n item rows that most users have, best first, none of them hidden."""
    return [int(row) for row in by_popularity(interactions) if row not in hidden][:n]


def by_popularity(interactions: Interactions) -> npt.NDArray[np.int64]:
    """Return all item rows that any user has, most users first."""
    weights = interactions.weights
    n_users, weight = users_of_items(weights), np.zeros(weights.shape[1])
    for begin in range(0, weights.nnz, _CHUNK):
        chunk = slice(begin, begin + _CHUNK)
        np.add.at(weight, weights.indices[chunk], weights.data[chunk].astype(np.float64))
    order = np.lexsort((np.arange(len(n_users)), -weight, -n_users))
    return order[: np.count_nonzero(n_users)]
