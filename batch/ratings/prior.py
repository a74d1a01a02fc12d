"""The prior of a side's vectors: a Gaussian whose mean is predicted from implicit features.

Source:
    Agarwal and Chen, "Regression-based Latent Factor Models", KDD 2009, section 3:
    the maximization step of their algorithm, the regression with a small ridge.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import AnyFloats

_RIDGE: Final = 20.0  # on the regression weights; counts like so many rows
_INITIAL_BIAS_VARIANCE: Final = 0.2
_INITIAL_FACTOR_VARIANCE: Final = 0.1


class Prior(NamedTuple):
    """Independent Gaussians with the mean `features @ weights`.

    Attributes:
        weights: (n_features, 1 + n_factors).
        variance: (1 + n_factors,).
    """

    weights: AnyFloats
    variance: AnyFloats


class PriorStatistics(NamedTuple):
    """Sufficient statistics of a prior over some rows; those of disjoint rows add up.

    Attributes:
        n_rows: Number of rows.
        gram: (n_features, n_features) sum of featuresᵀ features.
        cross: (n_features, 1 + n_factors) sum of featuresᵀ vector means.
        squares: (1 + n_factors,) sum of the expected squares of the vectors.
    """

    n_rows: int
    gram: AnyFloats
    cross: AnyFloats
    squares: AnyFloats

    @classmethod
    def of(cls, features: AnyFloats, mean: AnyFloats, covariance: AnyFloats) -> "PriorStatistics":
        """Sum over rows with these features and posteriors."""
        squares = (mean**2 + np.diagonal(covariance, axis1=1, axis2=2)).sum(axis=0)
        return cls(len(mean), features.T @ features, features.T @ mean, squares)

    def plus(self, other: "PriorStatistics") -> "PriorStatistics":
        """Return the statistics of both sets of rows."""
        return PriorStatistics(
            self.n_rows + other.n_rows,
            self.gram + other.gram,
            self.cross + other.cross,
            self.squares + other.squares,
        )


def initial_prior(n_features: int, n_factors: int) -> Prior:
    """Return the prior before the first sweep: mean 0 whatever the features, small factors."""
    variance = np.concatenate(
        ([_INITIAL_BIAS_VARIANCE], np.full(n_factors, _INITIAL_FACTOR_VARIANCE))
    )
    return Prior(np.zeros((n_features, 1 + n_factors)), variance)


def fit_prior(statistics: PriorStatistics) -> Prior:
    """Return the prior of maximum likelihood, but for the ridge."""
    ridge = _RIDGE * np.eye(len(statistics.gram))
    weights = np.linalg.solve(statistics.gram + ridge, statistics.cross)
    doubled = 2 * statistics.cross - statistics.gram @ weights
    residual = statistics.squares - (weights * doubled).sum(axis=0)
    return Prior(weights, residual / statistics.n_rows)
