"""One half of a sweep: the vectors of one side, given what is known of the other.

A row's vector is (bias, factors). For a user, each of its ratings is an equation

    rating - mean - item_bias = (1, item_factors) · (user_bias, user_factors) + noise

and the other side tells it the expected values of what stands in it. That an
item's own vector is uncertain enters through the expected squares: an item with
two ratings pulls less than one with two thousand, which is all the regularization
that this model has, and none of it is set by hand.

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


class Vectors(NamedTuple):
    """What is believed of each row's vector (bias, factors).

    Attributes:
        mean: (n_rows, 1 + n_factors).
        covariance: (n_rows, 1 + n_factors, 1 + n_factors).
    """

    mean: AnyFloats
    covariance: AnyFloats


class Moments(NamedTuple):
    """What one side tells the other of each of its rows, o standing for (1, factors).

    Attributes:
        o: (n_rows, 1 + n_factors) expected.
        oo: (n_rows, (1 + n_factors)²) expected o oᵀ, flat.
        bias_o: (n_rows, 1 + n_factors) expected bias · o.
    """

    o: AnyFloats
    oo: AnyFloats
    bias_o: AnyFloats


class NormalEquations(NamedTuple):
    """What a row's ratings say of its vector.

    Attributes:
        squares: (n_rows, 1 + n_factors, 1 + n_factors) sum of o oᵀ.
        pull: (n_rows, 1 + n_factors) sum of o times what the rest leaves to explain.
    """

    squares: AnyFloats
    pull: AnyFloats


def moments(vectors: Vectors) -> Moments:
    """Return the moments that the other side's equations are made of."""
    mean, covariance = vectors
    o = mean.copy()
    o[:, 0] = 1
    oo = o[:, :, None] * o[:, None, :]
    oo[:, 1:, 1:] += covariance[:, 1:, 1:]
    bias_o = o * mean[:, :1]
    bias_o[:, 1:] += covariance[:, 0, 1:]
    return Moments(o, oo.reshape(len(o), -1), bias_o)


def accumulate(is_rated: Matrix, rating: Matrix, told: Moments) -> NormalEquations:
    """Sum the equations of each row.

    Args:
        is_rated: (n_rows, n_others), 1 where there is a rating.
        rating: (n_rows, n_others), less the mean of all.
        told: Of the others.
    """
    width = told.o.shape[1]
    squares = (is_rated @ told.oo).reshape(-1, width, width)
    return NormalEquations(squares, rating @ told.o - is_rated @ told.bias_o)


def solve(evidence: NormalEquations, tastes: AnyFloats, prior: Prior, noise: float) -> Vectors:
    """Return what is believed after the ratings.

    Args:
        evidence: Of each row.
        tastes: (n_rows, n_features).
        prior: Of this side.
        noise: Variance of a rating about what the model expects.
    """
    precision = 1 / prior.variance
    covariance = np.linalg.inv(evidence.squares / noise + np.diag(precision))
    pull = evidence.pull / noise + (tastes @ prior.weights) * precision
    return Vectors(np.einsum("nij,nj->ni", covariance, pull), covariance)


def unexplained(evidence: NormalEquations, vectors: Vectors, rest: float) -> float:
    """Return the expected sum of the squared misses over all ratings.

    Args:
        evidence: Of each row.
        vectors: Of each row, after that evidence.
        rest: Sum of the squares of what the other side's biases leave to explain.
    """
    mean, covariance = vectors
    second = mean[:, :, None] * mean[:, None, :] + covariance
    explained = 2 * np.vdot(evidence.pull, mean) - np.vdot(evidence.squares, second)
    return float(rest - explained)
