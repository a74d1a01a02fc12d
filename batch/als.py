"""Implicit ALS: factor vectors of users and items from the weights of their interactions.

Confidence is ours to compute, 1 + alpha · weight: `implicit` takes the matrix
as it is, so a matrix of ones would make a view worth no more than no view.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from threadpoolctl import threadpool_limits

from batch.errors import BatchError

Factors = npt.NDArray[np.float32]


class Model(NamedTuple):
    """Trained factors; a user likes an item by the inner product of their rows.

    Attributes:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
    """

    user_factors: Factors
    item_factors: Factors


def train_als(
    weights: sp.csr_matrix,
    *,
    n_factors: int,
    regularization: float,
    alpha: float,
    iterations: int,
    seed: int,
    n_threads: int = 0,
    on_iteration: Callable[[], object] = lambda: None,
) -> Model:
    """Factorize weights by alternating least squares.

    Args:
        weights: (n_users, n_items), above 0 where a user has had an item.
        n_factors: Length of a vector.
        regularization: λ of the paper's equation 3, as `implicit` counts it
            (not scaled by frequency).
        alpha: Confidence is 1 + alpha · weight.
        iterations: Sweeps over users and items.
        seed: Of the first vectors; the same seed gives the same factors.
        n_threads: 0 means all processors.
        on_iteration: Called after each sweep, for progress.

    Raises:
        BatchError: The weights are not finite, or the factors became so.

    Source:
        Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
        Datasets", ICDM 2008, section 4; solved by conjugate gradient as in
        Takács, Pilászy and Tikk, RecSys 2011.
    """
    _check_finite(weights.data, "weights of the interactions")
    confidence = weights.copy()
    confidence.data = 1 + np.float32(alpha) * confidence.data
    with threadpool_limits(1, "blas"):  # BLAS threads inside implicit's own make it crawl
        model = AlternatingLeastSquares(
            factors=n_factors,
            regularization=regularization,
            alpha=1.0,  # the confidence is complete as it is
            iterations=iterations,
            random_state=seed,
            num_threads=n_threads,
        )
        with contextlib.suppress(ModelFitError):  # NaN: the check below says so in our words
            model.fit(confidence, show_progress=False, callback=lambda *_: on_iteration())
    _check_finite(model.user_factors, "user factors")
    _check_finite(model.item_factors, "item factors")
    return Model(np.asarray(model.user_factors), np.asarray(model.item_factors))


def _check_finite(values: npt.NDArray[np.float32], what: str) -> None:
    n_bad = values.size - int(np.isfinite(values).sum())
    if n_bad:
        raise BatchError(
            what,
            f"{n_bad:,} of {values.size:,} are NaN or infinite",
            "lower [batch] alpha or raise regularization; if it stays so, report it",
        )
