"""RP3β: a random walk of three steps, with popular items divided down.

    user ─► one of their items ─► one of its users ─► one of their items

    item_item[i, j] = Σ over users u:  (p(u | i) · p(j | u)) ** alpha  /  popularity(j) ** beta

Only the largest weights of each item are kept.

Source:
    Paudel, Christoffel, Newell and Bernstein, "Updatable, Accurate, Diverse, and Scalable
    Recommendations for Interactive Applications", ACM TiiS 2017, section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.models.finite import check_finite
from batch.models.item_item import FittedItemItem, ones
from batch.models.nearest import compact, nearest
from batch.models.popularity import Popularity
from batch.models.protocol import TrainedAnew
from batch.progress import noop


@dataclass(frozen=True, slots=True)
class Rp3Beta(TrainedAnew):
    """Random walks of three steps over users and items.

    Attributes:
        alpha: Exponent of the probability of a step.
        beta: Exponent of the popularity that divides an item's weight.
        n_neighbours: Items kept for each item.
    """

    alpha: float = 1.0
    beta: float = 0.6
    n_neighbours: int = 200

    name = "rp3beta"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedItemItem:
        """Walk from every item; see `Recommender.fit`."""
        check_finite(weights.data, "weights of the interactions")
        popular = Popularity().fit(weights)
        n_users = popular.item_factors[:, 0]
        history = ones(weights)
        to_item = _steps(history, self.alpha)
        to_user = _steps(sp.csr_matrix(history.T), self.alpha)
        divisor = np.maximum(n_users, 1) ** np.float32(self.beta)

        def walks(rows: Rows) -> Floats:
            return np.asarray((to_user[rows] @ to_item).toarray() / divisor)

        item_item = nearest(walks, weights.shape[1], self.n_neighbours, n_threads)
        on_step()
        about = {"n_neighbour_pairs": item_item.nnz}
        return FittedItemItem(history, compact(item_item), popular, about=about)


def _steps(has: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    """Return the probabilities of a step from each row to its columns, to the power of alpha."""
    n_of = np.diff(has.indptr)
    probability = np.repeat((1 / np.maximum(n_of, 1)) ** alpha, n_of).astype(np.float32)
    return sp.csr_matrix((probability, has.indices, has.indptr), shape=has.shape)
