"""Alternating least squares: factor vectors of users and items from a matrix of weights.

Confidence is ours to compute, 1 + alpha · weight: `implicit` takes the matrix
as it is, so a matrix of ones would make a view worth no more than no view.
The loop is ours too, round its solver.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from batch.arrays import Floats
from batch.models.finite import check_finite
from batch.models.protocol import nothing

_SMALL: Final = 0.01  # of random vectors to begin with


class Model(NamedTuple):
    """Trained factors; a user likes an item by the inner product of their rows.

    Attributes:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
    """

    user_factors: Floats
    item_factors: Floats


def train_als(
    weights: sp.csr_matrix,
    *,
    n_factors: int,
    regularization: float,
    alpha: float,
    iterations: int,
    seed: int,
    n_threads: int = 0,
    on_iteration: Callable[[], object] = nothing,
    start: Model | None = None,
    is_enough: Callable[[Model], bool] | None = None,
    users_last: bool = False,
) -> Model:
    """Factorize weights by alternating least squares.

    Args:
        weights: (n_users, n_items), above 0 where a user has had an item.
        n_factors: Length of a vector.
        regularization: λ of the paper's equation 3, as `implicit` counts it
            (not scaled by frequency).
        alpha: Confidence is 1 + alpha · weight.
        iterations: Most sweeps over users and items.
        seed: Of the first vectors; the same seed gives the same factors.
        n_threads: 0 means all processors.
        on_iteration: Called after each sweep, for progress.
        start: Floats to begin with in place of random ones; they stay as they are.
        is_enough: Asked after each sweep; True makes it the last.
        users_last: Solve the users once more at the end, beside the items' last vectors.

    Raises:
        BatchError: The weights or the start are not finite, or the factors became so.
        ValueError: The start is of another shape.

    Source:
        Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
        Datasets", ICDM 2008, section 4; solved by conjugate gradient as in
        Takács, Pilászy and Tikk, RecSys 2011.
    """
    check_finite(weights.data, "weights of the interactions")
    users, items = _start(start, weights.shape, n_factors, seed)
    liked = _confidence(weights, alpha)
    likers = liked.T.tocsr()
    with threadpool_limits(1, "blas"):  # BLAS threads inside implicit's own make it crawl
        solve = _solver(n_threads, regularization)
        for _ in range(iterations):
            solve(liked, users, items)
            solve(likers, items, users)
            on_iteration()
            if is_enough and is_enough(Model(users, items)):
                break
        if users_last:
            solve(liked, users, items)
    check_finite(users, "user factors")
    check_finite(items, "item factors")
    return Model(users, items)


def solve_users(
    item_factors: Floats, weights: sp.csr_matrix, *, regularization: float, alpha: float
) -> Floats:
    """Return the factors that users would have beside these items, solved exactly.

    Args:
        item_factors: (n_items, n_factors).
        weights: (n_users, n_items).
        regularization: As in training.
        alpha: As in training.
    """
    check_finite(weights.data, "weights of the interactions")
    n_users, n_factors = weights.shape[0], item_factors.shape[1]
    if not n_users:
        return np.zeros((0, n_factors), np.float32)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=n_factors, regularization=regularization, alpha=1.0)
        model.item_factors = item_factors
        return np.asarray(model.recalculate_user(np.arange(n_users), _confidence(weights, alpha)))


def _solver(
    n_threads: int, regularization: float
) -> Callable[[sp.csr_matrix, Floats, Floats], None]:
    """Return what solves one side beside the other, in place."""
    solver = AlternatingLeastSquares().solver
    return partial(solver, regularization=regularization, num_threads=n_threads)


def _confidence(weights: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    confidence = 1 + np.float32(alpha) * weights.data.astype(np.float32)
    return sp.csr_matrix((confidence, weights.indices, weights.indptr), weights.shape)


def _start(
    start: Model | None, shape: tuple[int, int], n_factors: int, seed: int
) -> tuple[Floats, Floats]:
    """Return factors to start with that are nobody else's, for training writes to them."""
    if start is None:
        random = np.random.default_rng(seed)
        users, items = (_SMALL * random.random((n, n_factors), np.float32) for n in shape)
        return users, items
    given = (start.user_factors.shape, start.item_factors.shape)
    wanted = ((shape[0], n_factors), (shape[1], n_factors))
    if given != wanted:
        raise ValueError(f"the start's factors are {given}, but {wanted} are wanted")
    check_finite(start.user_factors, "user factors to start with")
    check_finite(start.item_factors, "item factors to start with")
    users, items = (factors.astype(np.float32) for factors in start)
    return users, items
