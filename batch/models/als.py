"""Implicit ALS: factor vectors of users and items from the weights of their interactions.

Confidence is ours to compute, 1 + alpha · weight: `implicit` takes the matrix
as it is, so a matrix of ones would make a view worth no more than no view.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from threadpoolctl import threadpool_limits

from batch.models.chance import chance
from batch.models.factors import FittedFactors
from batch.models.finite import check_finite
from batch.models.holdout import Plateau, hold_out
from batch.models.protocol import Fitted, Times, nothing

# Over everything, after what was learned from a part: one where the part lacks a few users'
# item, two where it lacks a day, for the first solves users with the old vectors of items.
_SWEEPS_AFTER_HOLDOUT: Final = 1
_SWEEPS_AFTER_TRIAL: Final = 2

Factors = npt.NDArray[np.float32]


class Model(NamedTuple):
    """Trained factors; a user likes an item by the inner product of their rows.

    Attributes:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
    """

    user_factors: Factors
    item_factors: Factors


@dataclass(frozen=True, slots=True)
class Als:
    """Alternating least squares, as the protocol wants it.

    Attributes:
        n_factors: Length of a vector.
        regularization: In multiples of what chance alone makes (see `chance`).
        alpha: Confidence is 1 + alpha · weight.
        iterations: Most sweeps over users and items.
        seed: Of the first vectors and of the users held out.
        n_held_out: Users of whom one item is held out to tell when another
            sweep gains nothing more; 0 always makes all sweeps.
        start: Factors to begin with, in the rows of the weights (see `warm`).
    """

    n_factors: int = 64
    regularization: float = 1.0
    alpha: float = 2.0
    iterations: int = 15
    seed: int = 42
    n_held_out: int = 0
    start: Model | None = None

    name = "als"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> FittedFactors:
        """Factorize; see `Recommender.fit`."""
        held = hold_out(weights, at, self.n_held_out, self.seed)
        if not len(held.user_rows):
            model = self.train(weights, self.start, n_threads=n_threads, on_step=on_step)
            return self.fitted(model, weights, {"iterations": self.iterations})
        watch = Plateau(held, n_threads)
        trial = self.train(
            held.weights, self.start, n_threads=n_threads, on_step=on_step, is_enough=watch
        )
        about = {"iterations": watch.n_seen, "holdout_ndcg": watch.best}
        fitted = self.fitted(trial, held.weights, about)
        return self.finish(fitted, weights, n_threads=n_threads)

    def refit(self, trial: Fitted, weights: sp.csr_matrix, *, n_threads: int = 0) -> FittedFactors:
        """Make two sweeps over everything; see `Recommender.refit`."""
        return self.finish(trial, weights, sweeps=_SWEEPS_AFTER_TRIAL, n_threads=n_threads)

    def finish(
        self,
        trial: Fitted,
        weights: sp.csr_matrix,
        *,
        sweeps: int = _SWEEPS_AFTER_HOLDOUT,
        n_threads: int = 0,
    ) -> FittedFactors:
        """Return the model after a few sweeps over everything, from the factors of a part."""
        assert isinstance(trial, FittedFactors)
        model = self.train(weights, self.taste(trial), iterations=sweeps, n_threads=n_threads)
        about = {**trial.about, "iterations": trial.about.get("iterations", 0) + sweeps}
        return self.fitted(model, weights, about)

    def taste(self, fitted: FittedFactors) -> Model:
        """Return ALS's own columns of factors; behind them there may be popularity."""
        own = slice(self.n_factors)
        return Model(
            np.ascontiguousarray(fitted.user_factors[:, own]),
            np.ascontiguousarray(fitted.item_factors[:, own]),
        )

    def train(
        self,
        weights: sp.csr_matrix,
        start: Model | None,
        *,
        iterations: int | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
        is_enough: Callable[[Model], bool] | None = None,
    ) -> Model:
        """Return factors with these parameters; the rest as in `train_als`."""
        return train_als(
            weights,
            n_factors=self.n_factors,
            regularization=self.regularization * chance(weights),
            alpha=self.alpha,
            iterations=self.iterations if iterations is None else iterations,
            seed=self.seed,
            n_threads=n_threads,
            on_iteration=on_step,
            start=start,
            is_enough=is_enough,
        )

    def fitted(
        self, model: Model, weights: sp.csr_matrix, about: Mapping[str, float]
    ) -> FittedFactors:
        """Return factors as what answers for the users of `weights`."""
        solve = partial(
            solve_users,
            model.item_factors,
            regularization=self.regularization * chance(weights),
            alpha=self.alpha,
        )
        return FittedFactors(model.user_factors, model.item_factors, weights, solve, about)


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
        start: Factors to begin with in place of random ones; they stay as they are.
        is_enough: Asked after each sweep; True makes it the last.

    Raises:
        BatchError: The weights or the start are not finite, or the factors became so.
        ValueError: The start is of another shape.

    Source:
        Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
        Datasets", ICDM 2008, section 4; solved by conjugate gradient as in
        Takács, Pilászy and Tikk, RecSys 2011.
    """
    check_finite(weights.data, "weights of the interactions")
    with threadpool_limits(1, "blas"):  # BLAS threads inside implicit's own make it crawl
        model = AlternatingLeastSquares(
            factors=n_factors,
            regularization=regularization,
            alpha=1.0,  # the confidence is complete as it is
            iterations=iterations,
            random_state=seed,
            num_threads=n_threads,
        )
        if start:
            model.user_factors, model.item_factors = _checked(start, weights.shape, n_factors)

        def after_sweep(*_: object) -> None:
            on_iteration()
            if is_enough and is_enough(Model(model.user_factors, model.item_factors)):
                raise _Enough

        # ModelFitError is NaN: the check below says so in our words
        with contextlib.suppress(_Enough, ModelFitError):
            model.fit(_confidence(weights, alpha), show_progress=False, callback=after_sweep)
    check_finite(model.user_factors, "user factors")
    check_finite(model.item_factors, "item factors")
    return Model(np.asarray(model.user_factors), np.asarray(model.item_factors))


class _Enough(Exception):  # noqa: N818  it is no error, but the only way out of implicit's loop
    """Another sweep would gain nothing."""


def solve_users(
    item_factors: Factors, weights: sp.csr_matrix, *, regularization: float, alpha: float
) -> Factors:
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


def _confidence(weights: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    confidence = weights.copy()
    confidence.data = 1 + np.float32(alpha) * confidence.data.astype(np.float32)
    return confidence


def _checked(start: Model, shape: tuple[int, int], n_factors: int) -> tuple[Factors, Factors]:
    """Return copies of factors to start with, for training writes to what it is given."""
    given = (start.user_factors.shape, start.item_factors.shape)
    wanted = ((shape[0], n_factors), (shape[1], n_factors))
    if given != wanted:
        raise ValueError(f"the start's factors are {given}, but {wanted} are wanted")
    check_finite(start.user_factors, "user factors to start with")
    check_finite(start.item_factors, "item factors to start with")
    return start.user_factors.astype(np.float32), start.item_factors.astype(np.float32)
