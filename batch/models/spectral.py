"""A spectral model: the leading singular vectors of the scaled matrix of weights.

    R̃ = D_u^-¼ · W^½ · D_i^-⅖       W: weights; D: numbers of items and of users
    V = leading right singular vectors of R̃

    user   w · D_i^-0.3 V            w: the user's weights
    item   D_i^0.3 V                 and popularity in one more factor (see `popularity_gain`)

A user is folded in by one sparse product, with vectors that were learned from others.

Source:
    Nikolakopoulos, Kalantzis, Gallopoulos and Garofalakis, "EigenRec: Generalizing PureSVD
    for Effective and Efficient Top-N Recommendations", KAIS 2019 (the scaling of items);
    Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021, section 5
    (the ideal low-pass filter of GF-CF).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Rows, Times
from batch.models.factors import FittedFactors
from batch.models.finite import check_finite
from batch.models.fold_in import WeightedSum
from batch.models.popularity import users_of_items
from batch.models.popularity_gain import with_popularity
from batch.models.protocol import Fitted
from batch.models.singular_vectors import leading_vectors
from batch.progress import noop

# Chosen in the simulator and on the validation pairs of ML-1M's LCFN split
_USER_EXPONENT: Final = 0.25
_WEIGHT_EXPONENT: Final = 0.5
_ITEM_EXPONENT: Final = 0.4
_OUTPUT_EXPONENT: Final = 0.3


@dataclass(frozen=True, slots=True)
class Spectral:
    """Singular vectors as factors.

    Attributes:
        n_factors: Number of singular vectors; fewer where the matrix has no more.
        popularity: Score added for the most popular item, in units of the mean top score.
        seed: Random seed of the subspace that the decomposition starts from.
    """

    n_factors: int = 64
    popularity: float = 0.2
    seed: int = 42

    name = "spectral"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedFactors:
        """Decompose the scaled weights; see `Recommender.fit`."""
        check_finite(weights.data, "weights of the interactions")
        vectors = self._vectors(weights, n_threads)
        on_step()
        return self._fitted(vectors, weights, n_threads)

    def refit(
        self,
        trial: Fitted,
        user_rows: Rows,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
    ) -> FittedFactors:
        """Decompose the weights of the sampled users, and fold all in; see `Recommender.refit`."""
        check_finite(weights.data, "weights of the interactions")
        is_complete = len(user_rows) == weights.shape[0]
        sampled = weights if is_complete else weights[user_rows]
        vectors = self._vectors(sampled, n_threads)
        return self._fitted(vectors, weights, n_threads)

    def _vectors(self, weights: sp.csr_matrix, n_threads: int) -> Doubles:
        """Return (n_items, n_factors) right singular vectors, the leading ones first."""
        n_items_of = np.maximum(np.diff(weights.indptr), 1)
        n_users_of = np.maximum(users_of_items(weights), 1)
        data = weights.data.astype(np.float64) ** _WEIGHT_EXPONENT
        data *= np.repeat(n_items_of**-_USER_EXPONENT, np.diff(weights.indptr))
        data *= (n_users_of**-_ITEM_EXPONENT)[weights.indices]
        scaled = sp.csr_matrix((data, weights.indices, weights.indptr), weights.shape)
        return leading_vectors(scaled, self.n_factors, self.seed, n_threads)

    def _fitted(self, vectors: Doubles, weights: sp.csr_matrix, n_threads: int) -> FittedFactors:
        n_users_of = users_of_items(weights)
        scale = np.maximum(n_users_of, 1)[:, None] ** _OUTPUT_EXPONENT
        items_in = np.ascontiguousarray(vectors / scale, np.float32)
        solve = WeightedSum(items_in)
        items_out = np.ascontiguousarray(vectors * scale, np.float32)
        fitted = FittedFactors(solve(weights), items_out, weights, solve)
        return with_popularity(fitted, n_users_of, self.popularity, n_threads)
