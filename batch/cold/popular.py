"""Popular: what most users have had to do with, equal counts by weight and then by item row."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from batch.interactions import Interactions


def popular_items(
    interactions: Interactions, n: int, hidden: Collection[int] = frozenset()
) -> list[int]:
    """Return the n item rows that most users have, best first, none of them hidden."""
    return [int(row) for row in by_popularity(interactions) if row not in hidden][:n]


def by_popularity(interactions: Interactions) -> npt.NDArray[np.int64]:
    """Return all item rows that any user has, most users first."""
    weights = interactions.weights
    n_items = weights.shape[1]
    n_users = np.bincount(weights.indices, minlength=n_items)
    weight = weights.T @ np.ones(weights.shape[0])
    order = np.lexsort((np.arange(n_items), -weight, -n_users))
    return order[: np.count_nonzero(n_users)]
