"""Ridge regression from features to vectors, each row counting by how much is known of it.

    minimise  Σ weight · ‖vector - mean - (features - their mean) · B‖²  +  regularization · ‖B‖²

In closed form, by one Cholesky factorization for all columns of the vectors. How strong the
regularization must be is asked of a tenth of the rows that was held out.

Source:
    Gantner et al., "Learning Attribute-to-Feature Mappings for Cold-Start Recommendations",
    ICDM 2010, section III: a linear map from content to the factors of new items.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles

_REGULARIZATIONS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_UNTRIED: Final = 10.0  # where there are too few rows to hold any out
_HELD_OUT: Final = 10  # one row in so many


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map from features to vectors.

    Attributes:
        coefficients: (n_features, n_factors).
        offset: (n_factors,) added to every vector.
        regularization: With which it was learned.
        explained: Share of the held-out rows' variance about their mean that it explained;
            0 or less: the features say nothing of the vectors.
    """

    coefficients: Doubles
    offset: Doubles
    regularization: float
    explained: float

    def __call__(self, features: sp.csr_matrix) -> Doubles:
        """Return (n, n_factors), the expected vector of each row."""
        return np.asarray(features @ self.coefficients + self.offset)


def learn_ridge(features: sp.csr_matrix, vectors: Doubles, weights: Doubles, seed: int) -> Ridge:
    """Learn the map, its regularization chosen on rows held out.

    The same on any number of threads: BLAS gets one.

    Args:
        features: (n, n_features).
        vectors: (n, n_factors), at least one.
        weights: (n,) how much each row counts, above 0.
        seed: Of the rows held out.
    """
    with threadpool_limits(1, "blas"):
        n_rows = len(vectors)
        order = np.random.default_rng(seed).permutation(n_rows)
        held, rest = order[: n_rows // _HELD_OUT], np.sort(order[n_rows // _HELD_OUT :])
        best, explained = _UNTRIED, 0.0
        if len(held):
            sums = _Sums(features[rest], vectors[rest], weights[rest])
            tried = {
                regularization: _explained(
                    sums.solve(regularization), features[held], vectors[held], weights[held]
                )
                for regularization in _REGULARIZATIONS
            }
            best = max(tried, key=tried.__getitem__)
            explained = tried[best]
        coefficients, offset = _Sums(features, vectors, weights).solve(best)
        return Ridge(coefficients, offset, best, explained)


class _Sums:
    """The normal equations of centred rows, for any regularization."""

    def __init__(self, features: sp.csr_matrix, vectors: Doubles, weights: Doubles) -> None:
        total = weights.sum()
        self._features_mean = np.asarray(features.T @ weights).ravel() / total
        self._vectors_mean = weights @ vectors / total
        weighted = sp.csr_matrix(sp.diags_array(weights) @ features)
        self._gram = (features.T @ weighted).toarray()
        self._gram -= total * np.outer(self._features_mean, self._features_mean)
        self._target = np.asarray(weighted.T @ vectors)
        self._target -= total * np.outer(self._features_mean, self._vectors_mean)

    def solve(self, regularization: float) -> tuple[Doubles, Doubles]:
        """Return the coefficients and the offset."""
        matrix = self._gram.copy()
        matrix[np.diag_indices_from(matrix)] += regularization
        coefficients: Doubles = cho_solve(cho_factor(matrix, overwrite_a=True), self._target)
        return coefficients, self._vectors_mean - self._features_mean @ coefficients


def _explained(
    learned: tuple[Doubles, Doubles], features: sp.csr_matrix, vectors: Doubles, weights: Doubles
) -> float:
    coefficients, offset = learned
    mean = weights @ vectors / weights.sum()
    error = weights @ (features @ coefficients + offset - vectors) ** 2
    spread = weights @ (vectors - mean) ** 2
    return 1 - float(error.sum()) / max(float(spread.sum()), np.finfo(float).tiny)
