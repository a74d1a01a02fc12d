"""Implicit ALS as a model: sweeps until a holdout gains no more, and one over everything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.models.drawn import scatter_back
from batch.models.factors import FittedFactors
from batch.models.holdout import EarlyStopping, Holdout, hold_out
from batch.models.least_squares import Model, solve_users, train_als
from batch.models.noise import noise_singular_value
from batch.models.protocol import Fitted, nothing


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
        trial = self.sweep(held, n_threads=n_threads, on_step=on_step)
        return self.finish(trial, held, weights, n_threads=n_threads)

    def refit(
        self, trial: Fitted, user_rows: Rows, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> FittedFactors:
        """Sweep over everything; see `Recommender.refit`."""
        assert isinstance(trial, FittedFactors)
        taste = als_factors(trial, self.n_factors)
        everybody = scatter_back(taste, user_rows, weights.shape[0], self.start)
        # a part may lack items too: users are solved beside what these became
        return self._once_more(everybody, weights, trial.about, n_threads, users_last=True)

    def sweep(
        self,
        held: Holdout,
        *,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> FittedFactors:
        """Sweep over what was not held out, until what was says that it is enough."""
        watch = EarlyStopping(held, n_threads) if len(held.user_rows) else None
        model = self.train(
            held.weights, self.start, n_threads=n_threads, on_step=on_step, is_enough=watch
        )
        about: dict[str, float] = {"iterations": self.iterations}
        if watch:
            about = {"iterations": watch.n_seen, "holdout_ndcg": watch.best}
        return self.fitted(model, held.weights, about)

    def finish(
        self, trial: FittedFactors, held: Holdout, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> FittedFactors:
        """Sweep once more, over what was held out as well; without any, nothing is to be done."""
        if not len(held.user_rows):
            return replace(trial, seen=weights)
        return self._once_more(als_factors(trial, self.n_factors), weights, trial.about, n_threads)

    def _once_more(
        self,
        model: Model,
        weights: sp.csr_matrix,
        about: Mapping[str, float],
        n_threads: int,
        *,
        users_last: bool = False,
    ) -> FittedFactors:
        model = self.train(weights, model, iterations=1, n_threads=n_threads, users_last=users_last)
        return self.fitted(model, weights, {**about, "iterations": about["iterations"] + 1})

    def train(
        self,
        weights: sp.csr_matrix,
        start: Model | None,
        *,
        iterations: int | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
        is_enough: Callable[[Model], bool] | None = None,
        users_last: bool = False,
    ) -> Model:
        """Return factors with these parameters; the rest as in `train_als`."""
        return train_als(
            weights,
            n_factors=self.n_factors,
            regularization=self.regularization * noise_singular_value(weights),
            alpha=self.alpha,
            iterations=self.iterations if iterations is None else iterations,
            seed=self.seed,
            n_threads=n_threads,
            on_iteration=on_step,
            start=start,
            is_enough=is_enough,
            users_last=users_last,
        )

    def fitted(
        self, model: Model, weights: sp.csr_matrix, about: Mapping[str, float]
    ) -> FittedFactors:
        """Return factors as what answers for the users of `weights`."""
        solve = partial(
            solve_users,
            model.item_factors,
            regularization=self.regularization * noise_singular_value(weights),
            alpha=self.alpha,
        )
        return FittedFactors(model.user_factors, model.item_factors, weights, solve, about)


def als_factors(fitted: FittedFactors, n_factors: int) -> Model:
    """Return ALS's own columns of factors; behind them there may be popularity."""
    own = slice(n_factors)
    return Model(
        np.ascontiguousarray(fitted.user_factors[:, own]),
        np.ascontiguousarray(fitted.item_factors[:, own]),
    )
