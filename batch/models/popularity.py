"""Popularity: items ranked by their number of users, the same for every user.

    user factor  1      item factor  number of its users

As factors of length 1 it shares the exact top-k with the other models, which ends after
one block: the items' norms are their scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Rows, Times
from batch.models.factors import FittedFactors
from batch.models.finite import check_finite
from batch.models.fold_in import SameForAll
from batch.models.protocol import TrainedAnew
from batch.progress import noop

_CHUNK: Final = 1 << 20  # interactions counted at a time, which limits 64-bit copies


@dataclass(frozen=True, slots=True)
class Popularity(TrainedAnew):
    """Ranks items by the number of users that have them."""

    name = "popularity"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedFactors:
        """Count each item's users; see `Recommender.fit`."""
        check_finite(weights.data, "weights of the interactions")
        n_users = users_of_items(weights)
        on_step()
        return same_for_all(n_users, weights)


def users_of_items(weights: sp.csr_matrix) -> Rows:
    """Return (n_items,) the number of users that have each item."""
    n_users = np.zeros(weights.shape[1], np.int64)
    for begin in range(0, weights.nnz, _CHUNK):
        n_users += np.bincount(weights.indices[begin : begin + _CHUNK], minlength=len(n_users))
    return n_users


def same_for_all(scores: Doubles | Rows, weights: sp.csr_matrix) -> FittedFactors:
    """Return the model that ranks items by (n_items,) scores, the same for every user."""
    solve = SameForAll()
    return FittedFactors(solve(weights), scores.astype(np.float32)[:, None], weights, solve)
