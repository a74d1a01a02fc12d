"""Alternating least squares: factor vectors of users and items from a matrix of weights.

The confidence, 1 + alpha · weight, is computed here: `implicit` takes the matrix
unchanged, so with a matrix of ones a view would count no more than no view.
The training loop is here too, around implicit's solver.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from batch.arrays import Floats
from batch.models.factors import Factors
from batch.models.finite import check_finite
from batch.progress import noop

_INITIAL_SCALE: Final = 0.01  # scale of random initial vectors


@dataclass(frozen=True, slots=True)
class AlsParameters:
    """Hyper-parameters of alternating least squares.

    Attributes:
        n_factors: Length of a factor vector.
        regularization: λ of the paper's equation 3, in the scale of `implicit`
            (not multiplied by frequency).
        alpha: Growth of the confidence, 1 + alpha · weight.
        iterations: Maximum sweeps over users and items.
        seed: Random seed of the initial vectors; the same seed gives the same factors.
    """

    n_factors: int
    regularization: float
    alpha: float
    iterations: int
    seed: int


def train_als(
    weights: sp.csr_matrix,
    parameters: AlsParameters,
    start: Factors | None = None,
    *,
    n_threads: int = 0,
    on_iteration: Callable[[Factors], object] = noop,
) -> Factors:
    """Factorize weights by alternating least squares.

    Args:
        weights: (n_users, n_items), above 0 where the user has the item.
        parameters: Hyper-parameters.
        start: Initial factors, not modified; None: random ones.
        n_threads: Number of threads; 0 means all processors.
        on_iteration: Callback after each sweep; a true result ends the training.

    Raises:
        BatchError: The weights, the start or the trained factors are not finite.
        ValueError: The start has another shape.

    Source:
        Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
        Datasets", ICDM 2008, section 4; solved by conjugate gradient as in
        Takács, Pilászy and Tikk, RecSys 2011.
    """
    check_finite(weights.data, "weights of the interactions")
    users, items = _initial_factors(start, weights.shape, parameters)
    items_of_users = _confidence(weights, parameters.alpha)
    users_of_items = items_of_users.T.tocsr()
    with threadpool_limits(1, "blas"):  # BLAS threads inside implicit's own slow it down
        solve = _solver(n_threads, parameters.regularization)
        for _ in range(parameters.iterations):
            solve(items_of_users, users, items)
            solve(users_of_items, items, users)
            if on_iteration(Factors(users, items)):
                break
    check_finite(users, "user factors")
    check_finite(items, "item factors")
    return Factors(users, items)


def _solver(
    n_threads: int, regularization: float
) -> Callable[[sp.csr_matrix, Floats, Floats], None]:
    """Return the function that solves one side given the other, in place."""
    solver = AlternatingLeastSquares().solver
    return partial(solver, regularization=regularization, num_threads=n_threads)


def _confidence(weights: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    confidence = 1 + np.float32(alpha) * weights.data.astype(np.float32)
    return sp.csr_matrix((confidence, weights.indices, weights.indptr), weights.shape)


def _initial_factors(
    start: Factors | None, shape: tuple[int, int], parameters: AlsParameters
) -> tuple[Floats, Floats]:
    """Return factors that training may write to: random ones, or a copy of the start."""
    n_factors = parameters.n_factors
    if start is None:
        random = np.random.default_rng(parameters.seed)
        users, items = (_INITIAL_SCALE * random.random((n, n_factors), np.float32) for n in shape)
        return users, items
    found = (start.user_factors.shape, start.item_factors.shape)
    expected = ((shape[0], n_factors), (shape[1], n_factors))
    if found != expected:
        raise ValueError(f"initial factors: shapes are {found}; they must be {expected}")
    check_finite(start.user_factors, "initial user factors")
    check_finite(start.item_factors, "initial item factors")
    users, items = (factors.astype(np.float32) for factors in start)
    return users, items
