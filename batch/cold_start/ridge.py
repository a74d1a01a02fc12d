"""Ridge regression from features to vectors, with a weight for each row.

    minimise  Σ weight · ‖vector - mean - (features - their mean) · B‖²  +  regularization · ‖B‖²

Solved in closed form, by one Cholesky factorization for all columns of the vectors. The
regularization is chosen on a held-out tenth of the rows.

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

Features = sp.csr_matrix | Doubles  # (n, n_features), sparse or dense

_REGULARIZATIONS: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_DEFAULT_REGULARIZATION: Final = 10.0  # with too few rows to hold any out
_HELD_OUT_EVERY: Final = 10  # one row in so many


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map from features to vectors.

    Attributes:
        coefficients: (n_features, n_factors).
        offset: (n_factors,) added to every vector.
        regularization: Regularization that was chosen.
        explained: Share of the held-out rows' variance explained; 0 or less means that the
            features do not predict the vectors.
    """

    coefficients: Doubles
    offset: Doubles
    regularization: float
    explained: float

    def __call__(self, features: Features) -> Doubles:
        """Return (n, n_factors), the expected vector of each row."""
        return np.asarray(features @ self.coefficients + self.offset)


def learn_ridge(features: Features, vectors: Doubles, weights: Doubles, seed: int) -> Ridge:
    """Learn the map, its regularization chosen on held-out rows.

    The result is the same on any number of threads: BLAS gets one.

    Args:
        features: (n, n_features).
        vectors: (n, n_factors), at least one.
        weights: (n,) weight of each row, above 0.
        seed: Random seed of the rows held out.
    """
    with threadpool_limits(1, "blas"):
        n_rows = len(vectors)
        order = np.random.default_rng(seed).permutation(n_rows)
        n_held_out = n_rows // _HELD_OUT_EVERY
        held_out, rest = order[:n_held_out], np.sort(order[n_held_out:])
        best, explained = _DEFAULT_REGULARIZATION, 0.0
        if len(held_out):
            equations = _RidgeEquations(features[rest], vectors[rest], weights[rest])
            explained_by = {
                regularization: _explained(
                    equations.solve(regularization),
                    features[held_out],
                    vectors[held_out],
                    weights[held_out],
                )
                for regularization in _REGULARIZATIONS
            }
            best = max(explained_by, key=explained_by.__getitem__)
            explained = explained_by[best]
        coefficients, offset = _RidgeEquations(features, vectors, weights).solve(best)
        return Ridge(coefficients, offset, best, explained)


class _RidgeEquations:
    """The normal equations of centred rows, for any regularization."""

    def __init__(self, features: Features, vectors: Doubles, weights: Doubles) -> None:
        total = weights.sum()
        self._features_mean = np.asarray(features.T @ weights).ravel() / total
        self._vectors_mean = weights @ vectors / total
        weighted = sp.diags_array(weights) @ features
        gram = features.T @ weighted
        self._gram: Doubles = gram.toarray() if sp.issparse(gram) else gram
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
    solution: tuple[Doubles, Doubles], features: Features, vectors: Doubles, weights: Doubles
) -> float:
    """Return the share of the rows' weighted variance that a solution explains."""
    coefficients, offset = solution
    mean = weights @ vectors / weights.sum()
    error = weights @ (features @ coefficients + offset - vectors) ** 2
    variance = weights @ (vectors - mean) ** 2
    return 1 - float(error.sum()) / max(float(variance.sum()), np.finfo(float).tiny)
