"""Recent popularity: items ranked by their users, of whom the latest count most.

    score(item) = Σ over its users: 0.5^(age of the interaction / half-life), at least 0.001

An item that many watch now is above one that more have watched, but long ago. The minimum
keeps items without recent users in the order of their popularity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Times
from batch.interactions.weights import DAY_SECONDS, MIN_WEIGHT, latest_time
from batch.models.factors import FittedFactors
from batch.models.finite import check_finite
from batch.models.popularity import same_for_all, users_of_items
from batch.models.protocol import TrainedAnew
from batch.progress import noop

_CHUNK: Final = 1 << 20  # interactions counted at a time, which limits 64-bit copies


@dataclass(frozen=True, slots=True)
class RecentPopularity(TrainedAnew):
    """Ranks items by the number of their users, each counted less with age.

    Attributes:
        half_life_days: Age in days at which an interaction counts half; 0: all count alike.
    """

    half_life_days: float = 30.0

    name = "recent_popularity"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedFactors:
        """Count each item's users by age; without times it is popularity; see `Recommender.fit`."""
        check_finite(weights.data, "weights of the interactions")
        counts = self._users(weights, at)
        on_step()
        return same_for_all(counts, weights)

    def _users(self, weights: sp.csr_matrix, at: Times | None) -> Doubles:
        """Return (n_items,) sums over users; an unknown time counts as the mean of the known."""
        if at is None or not at.any() or not self.half_life_days:
            return users_of_items(weights).astype(np.float64)
        n_items, latest = weights.shape[1], latest_time(at)
        known, n_unknown = np.zeros(n_items), np.zeros(n_items)
        for begin in range(0, weights.nnz, _CHUNK):
            when = at[begin : begin + _CHUNK]
            item = weights.indices[begin : begin + _CHUNK]
            half_lives = np.maximum(latest - when, 0) / (self.half_life_days * DAY_SECONDS)
            counted = np.maximum(np.exp2(-half_lives), MIN_WEIGHT) * (when > 0)
            known += np.bincount(item, counted, n_items)
            n_unknown += np.bincount(item, when <= 0, n_items)
        n_known = weights.nnz - n_unknown.sum()
        return np.asarray(known + n_unknown * known.sum() / n_known)
