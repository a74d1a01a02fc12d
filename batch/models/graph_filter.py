"""A graph filter: co-occurrence of items, and the smoothest signals of the item graph.

    R̃ = D_u^-½ R D_i^-½            R: 1 where the user has the item; D: degrees
    P = R̃ᵀ R̃                       a linear filter: two steps on the graph
    V = leading right singular vectors of R̃, an ideal low-pass filter

    scores = r P + weight · r D_i^-½ V Vᵀ D_i^½

In a large catalogue only the largest weights of P are kept for each item. Any basis of the
space of V gives the same V Vᵀ.

Source:
    Shen, Wu, Zhang, Shan, Zhang, Letaief and Li, "How Powerful is Graph Convolution for
    Recommendation?" (GF-CF), CIKM 2021, section 5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.models.finite import check_finite
from batch.models.item_item import FittedItemItem, LowRank, ones
from batch.models.nearest import compact, nearest
from batch.models.popularity import Popularity
from batch.models.protocol import TrainedAnew
from batch.models.singular_vectors import leading_vectors
from batch.progress import noop

_MAX_PAIRS: Final = 1 << 24  # pairs of neighbours by default: at most 128 MiB


@dataclass(frozen=True, slots=True)
class GraphFilter(TrainedAnew):
    """A linear and a low-pass filter on the graph of items.

    Attributes:
        n_singular_vectors: Singular vectors of the low-pass filter; 0: none.
        weight: Weight of the low-pass filter.
        n_neighbours: Items kept for each item by the linear filter; 0: as many as make 16
            million pairs, all of them in a catalogue of up to 4,096 items.
        seed: Random seed of the subspace that the decomposition starts from.
    """

    n_singular_vectors: int = 64
    weight: float = 0.3
    n_neighbours: int = 0
    seed: int = 42

    name = "graph_filter"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedItemItem:
        """Compute both filters; see `Recommender.fit`."""
        check_finite(weights.data, "weights of the interactions")
        history = ones(weights)
        popular = Popularity().fit(weights)
        n_users = np.maximum(popular.item_factors[:, 0], 1)
        normalized = _normalized(history, n_users)
        by_item = sp.csr_matrix(normalized.T)

        def co_occurrence(rows: Rows) -> Floats:
            return np.asarray((by_item[rows] @ normalized).toarray())

        n_items = weights.shape[1]
        n_neighbours = self.n_neighbours or max(1, _MAX_PAIRS // n_items)
        item_item = nearest(co_occurrence, n_items, n_neighbours, n_threads)
        on_step()
        low_rank = self._low_pass(normalized, n_users, n_threads)
        on_step()
        about = {"n_neighbour_pairs": item_item.nnz}
        return FittedItemItem(history, compact(item_item), popular, low_rank=low_rank, about=about)

    def _low_pass(
        self, normalized: sp.csr_matrix, n_users: Floats, n_threads: int
    ) -> LowRank | None:
        if not self.n_singular_vectors or not self.weight:
            return None
        in_double = normalized.astype(np.float64)
        vectors = leading_vectors(in_double, self.n_singular_vectors, self.seed, n_threads)
        check_finite(vectors, "singular vectors of the graph filter")
        root = np.sqrt(n_users)[:, None]
        left, right = self.weight * vectors / root, vectors * root
        # By rows: a product with a sparse matrix would copy another order every time.
        return LowRank(left.astype(np.float32, order="C"), right.astype(np.float32, order="C"))


def _normalized(has: sp.csr_matrix, n_users: Floats) -> sp.csr_matrix:
    """Return D_u^-½ R D_i^-½."""
    n_items = np.diff(has.indptr)
    degrees = np.repeat(n_items, n_items) * n_users[has.indices]
    values = (1 / np.sqrt(degrees)).astype(np.float32)
    return sp.csr_matrix((values, has.indices, has.indptr), shape=has.shape)
