"""What is believed of a vector before its ratings are seen, and how that is learned.

Source:
    Agarwal and Chen, "Regression-based Latent Factor Models", KDD 2009, section 3:
    the maximization step of their algorithm, the regression with a small ridge.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import AnyFloats

_RIDGE: Final = 20.0  # on the weights, in rows


class Prior(NamedTuple):
    """A row's vector is expected at tastes @ weights.

    Attributes:
        weights: (n_features, 1 + n_factors).
        variance: (1 + n_factors,) about that.
    """

    weights: AnyFloats
    variance: AnyFloats


class Sums(NamedTuple):
    """All that the prior has to know of some rows; sums of parts add up.

    Attributes:
        n_rows: How many.
        tastes: (n_features, n_features) of tastes by tastes.
        crossed: (n_features, 1 + n_factors) of tastes by vectors.
        squares: (1 + n_factors,) expected squares of the vectors.
    """

    n_rows: int
    tastes: AnyFloats
    crossed: AnyFloats
    squares: AnyFloats

    @classmethod
    def of(cls, tastes: AnyFloats, mean: AnyFloats, covariance: AnyFloats) -> "Sums":
        """Sum over the rows of some vectors."""
        squares = (mean**2 + np.diagonal(covariance, axis1=1, axis2=2)).sum(axis=0)
        return cls(len(mean), tastes.T @ tastes, tastes.T @ mean, squares)

    def plus(self, other: "Sums") -> "Sums":
        """Return the sums over both."""
        return Sums(
            self.n_rows + other.n_rows,
            self.tastes + other.tastes,
            self.crossed + other.crossed,
            self.squares + other.squares,
        )


def first_prior(n_features: int, n_factors: int) -> Prior:
    """Return what training begins with: nothing from tastes, and small factors."""
    return Prior(
        np.zeros((n_features, 1 + n_factors)), np.concatenate(([0.2], np.full(n_factors, 0.1)))
    )


def learn_prior(sums: Sums) -> Prior:
    """Return the prior under which vectors such as these are likeliest."""
    ridge = _RIDGE * np.eye(len(sums.tastes))
    weights = np.linalg.solve(sums.tastes + ridge, sums.crossed)
    expected = 2 * sums.crossed - sums.tastes @ weights
    left = sums.squares - (weights * expected).sum(axis=0)
    return Prior(weights, left / sums.n_rows)
