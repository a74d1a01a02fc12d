"""What each item of a user's history contributes to the score of an item of the list.

    score(user, i)  =  Σ_h contribution(h, i)  +  what no item of the history contributes

    item–item       w_h · item_item[h, i]
    least squares   y_iᵀ (Yᵀ C Y + λI)⁻¹ c_h y_h
    sum of vectors  y_iᵀ w_h v_h
    blend           those of its parts, times share / standard deviation of the user's scores

A solver of factors is explained by its influences: vectors, one for each item of the history,
that add up to the user's factors. The rest is popularity, which is the same for all users.

Source:
    Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008,
    section 5.
"""

from functools import singledispatch

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Doubles, Rows
from batch.models.blend import FittedBlend, scales
from batch.models.factors import FittedFactors
from batch.models.fold_in import Joined, SameForAll, Solver, Standardised, WeightedSum, WithConstant
from batch.models.item_item import FittedItemItem
from batch.models.least_squares_users import LeastSquares
from batch.models.protocol import Fitted


def contributions(model: Fitted, weights: sp.csr_matrix, item_rows: Rows) -> Doubles:
    """Return (n_history, n) the contribution of each item of a user's history to each item.

    Args:
        model: Model into which this one user is folded.
        weights: (1, n_items) weights of the user.
        item_rows: (n,) rows of items.

    Raises:
        TypeError: The model is of a class that is not stored in snapshots.
    """
    if isinstance(model, FittedBlend):
        added = np.zeros((weights.nnz, len(item_rows)))
        if model.factors:
            added += contributions(model.factors, weights, item_rows)
        for part, share in zip(model.parts, model.shares, strict=True):
            scale = scales(part.scores(np.zeros(1, np.int64)), share)[0]
            added += scale * contributions(part, weights, item_rows)
        return added
    if isinstance(model, FittedItemItem):
        return _by_items(model, item_rows)
    if isinstance(model, FittedFactors):
        items = model.item_factors[item_rows].astype(np.float64)
        return np.asarray(influences(model.solve, weights) @ items.T)
    raise TypeError(f"{type(model).__name__} is not a model of a snapshot")


def _by_items(model: FittedItemItem, item_rows: Rows) -> Doubles:
    history = model.history.indices.astype(np.int64)
    found = np.zeros((len(history), len(item_rows)))
    if model.item_rows is None:
        own, places, known = history, item_rows, np.arange(len(history))
        columns = np.arange(len(item_rows))
    else:
        known, own = _places(history, model.item_rows)
        columns, places = _places(item_rows, model.item_rows)
    part = model.item_item[own][:, places]
    found[np.ix_(known, columns)] = part.toarray() if sp.issparse(part) else part
    if model.low_rank is not None:
        found += model.low_rank.left[history] @ model.low_rank.right[item_rows].T
    return np.asarray(found * model.history.data.astype(np.float64)[:, None])


def _places(rows: Rows, among: Rows) -> tuple[Rows, Rows]:
    """Return which of some rows are among ascending ones, and their places there."""
    places = np.minimum(np.searchsorted(among, rows), len(among) - 1)
    which = np.flatnonzero(among[places] == rows)
    return which, places[which]


@singledispatch
def influences(solver: Solver, _weights: sp.csr_matrix) -> Doubles:
    """Return (n_history, n_factors) vectors whose sum is the user's factors, but for constants.

    Args:
        solver: Solver of the model.
        _weights: (1, n_items) weights of the user.

    Raises:
        TypeError: The solver is of an unknown class.
    """
    raise TypeError(f"{type(solver).__name__} is not a solver of a snapshot")


@influences.register
def _(_: SameForAll, weights: sp.csr_matrix) -> Doubles:
    return np.zeros((weights.nnz, 1))


@influences.register
def _(solver: WeightedSum, weights: sp.csr_matrix) -> Doubles:
    return _weighted(solver.vectors[weights.indices], weights.data)


@influences.register
def _(solver: WithConstant, weights: sp.csr_matrix) -> Doubles:
    own = influences(solver.solver, weights)
    return np.column_stack((own, np.zeros(len(own))))


@influences.register
def _(solver: Standardised, weights: sp.csr_matrix) -> Doubles:
    user = solver.solver(weights).astype(np.float64)[0]
    scaled = solver(weights).astype(np.float64)[0]
    square = float(user @ user)
    return influences(solver.solver, weights) * (float(scaled @ user) / square if square else 0.0)


@influences.register
def _(solver: Joined, weights: sp.csr_matrix) -> Doubles:
    return np.concatenate([influences(one, weights) for one in solver.solvers], axis=1)


@influences.register
def _(solver: LeastSquares, weights: sp.csr_matrix) -> Doubles:
    items = solver.item_factors[weights.indices].astype(np.float64)
    own = weights.data.astype(np.float64) * solver.scale
    frequency = len(own) + solver.unobserved
    penalty = solver.penalty * frequency**solver.exponent
    precision = items.T @ (own[:, None] * items)
    precision[np.diag_indices_from(precision)] += solver.diagonal + penalty
    return _weighted(np.linalg.solve(precision, items.T).T, own + solver.offset)


def _weighted(vectors: AnyFloats, weights: AnyFloats) -> Doubles:
    return np.asarray(vectors.astype(np.float64) * weights[:, None])
