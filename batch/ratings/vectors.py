"""Half a sweep: the posteriors of one side's vectors, given the moments of the other side's.

A row's vector is (bias, factors). For a user, each of its ratings is an equation

    rating - mean - item_bias = (1, item_factors) · (user_bias, user_factors) + noise

The item's vector is uncertain as well, so its expected values and expected products
take the place of known regressors. An item with two ratings therefore counts less
than one with two thousand. That is all the regularization of this model, and none of
it is set by hand.

Source:
    Lim and Teh, "Variational Bayesian Approach to Movie Rating Prediction", KDD
    Cup 2007, section 3; with biases, and the priors' means predicted from
    features as in Agarwal and Chen, "Regression-based Latent Factor Models",
    KDD 2009, section 3.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats
from batch.ratings.prior import Prior

Matrix = sp.csr_matrix | sp.csc_matrix


class Posterior(NamedTuple):
    """Gaussian posteriors of the vectors (bias, factors), one for each row.

    Attributes:
        mean: (n_rows, 1 + n_factors).
        covariance: (n_rows, 1 + n_factors, 1 + n_factors).
    """

    mean: AnyFloats
    covariance: AnyFloats


class Moments(NamedTuple):
    """Expected regressors of the other side's equations, x standing for (1, factors).

    Attributes:
        x: (n_rows, 1 + n_factors) expected x.
        xx: (n_rows, (1 + n_factors)²) expected x xᵀ, flat.
        bias_x: (n_rows, 1 + n_factors) expected bias · x.
    """

    x: AnyFloats
    xx: AnyFloats
    bias_x: AnyFloats


class NormalEquations(NamedTuple):
    """Normal equations of each row's ratings, before noise and prior; those of ratings add up.

    Attributes:
        precision: (n_rows, 1 + n_factors, 1 + n_factors) sum of x xᵀ.
        rhs: (n_rows, 1 + n_factors) sum of x · (rating - bias of the other side).
    """

    precision: AnyFloats
    rhs: AnyFloats

    def plus(self, other: "NormalEquations") -> "NormalEquations":
        """Return the equations of both sets of ratings, for the same rows."""
        return NormalEquations(self.precision + other.precision, self.rhs + other.rhs)


def moments(posterior: Posterior) -> Moments:
    """Return the expected regressors of the other side's equations."""
    mean, covariance = posterior
    x = mean.copy()
    x[:, 0] = 1
    xx = x[:, :, None] * x[:, None, :]
    xx[:, 1:, 1:] += covariance[:, 1:, 1:]
    bias_x = x * mean[:, :1]
    bias_x[:, 1:] += covariance[:, 0, 1:]
    return Moments(x, xx.reshape(len(x), -1), bias_x)


def accumulate(is_rated: Matrix, rating: Matrix, others: Moments) -> NormalEquations:
    """Sum the normal equations of each row.

    Args:
        is_rated: (n_rows, n_others), 1 where there is a rating.
        rating: (n_rows, n_others), less the mean of all.
        others: Moments of the other side.
    """
    width = others.x.shape[1]
    precision = (is_rated @ others.xx).reshape(-1, width, width)
    return NormalEquations(precision, rating @ others.x - is_rated @ others.bias_x)


def solve(equations: NormalEquations, features: AnyFloats, prior: Prior, noise: float) -> Posterior:
    """Return the posteriors of one side.

    Args:
        equations: Normal equations of its rows.
        features: (n_rows, n_features) implicit features.
        prior: Prior of this side.
        noise: Variance of a rating about its prediction.
    """
    prior_precision = 1 / prior.variance
    covariance = np.linalg.inv(equations.precision / noise + np.diag(prior_precision))
    rhs = equations.rhs / noise + (features @ prior.weights) * prior_precision
    return Posterior(np.einsum("nij,nj->ni", covariance, rhs), covariance)


def expected_squared_error(equations: NormalEquations, posterior: Posterior, total: float) -> float:
    """Return the expected squared error, summed over all ratings.

    Args:
        equations: Normal equations of each row.
        posterior: Posterior of each row, given these equations.
        total: Sum over the ratings of the expected square of (rating - bias of the other side).
    """
    mean, covariance = posterior
    second = mean[:, :, None] * mean[:, None, :] + covariance
    explained = 2 * np.vdot(equations.rhs, mean) - np.vdot(equations.precision, second)
    return float(total - explained)
