"""Implicit ALS as a model: sweeps over some users, until a holdout gains no more, then over all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp

from batch.models.chance import chance
from batch.models.drawn import Drawn, draw
from batch.models.factors import FittedFactors
from batch.models.holdout import Holdout, Plateau, hold_out
from batch.models.least_squares import Model, solve_users, train_als
from batch.models.protocol import Fitted, Times, nothing


@dataclass(frozen=True, slots=True)
class Swept:
    """What the sweeps over some users came to.

    Attributes:
        drawn: These users.
        held: What they had, and what of it was held out.
        fitted: Trained on the rest.
    """

    drawn: Drawn
    held: Holdout
    fitted: FittedFactors

    @property
    def is_all(self) -> bool:
        """Whether the sweeps have heard everything."""
        return self.drawn.is_everybody and not len(self.held.user_rows)


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
        n_swept: Interactions an item, on average, that the sweeps are made over, those of
            users drawn by lot; the last sweep is over all. (A third of them lost 1 % of
            NDCG@20 on ML-1M, half of them nothing.)
    """

    n_factors: int = 64
    regularization: float = 1.0
    alpha: float = 2.0
    iterations: int = 15
    seed: int = 42
    n_held_out: int = 0
    start: Model | None = None
    n_swept: int = 300

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
        swept = self.sweep(weights, at=at, n_threads=n_threads, on_step=on_step)
        return self.finish(swept, weights, n_threads=n_threads)

    def refit(self, trial: Fitted, weights: sp.csr_matrix, *, n_threads: int = 0) -> FittedFactors:
        """Sweep over everything; see `Recommender.refit`."""
        assert isinstance(trial, FittedFactors)
        taste = taste_of(trial, self.n_factors)
        # a part that lacks a day may lack items too: users are solved beside what they became
        return self._once_more(taste, weights, trial.about, n_threads, users_last=True)

    def sweep(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> Swept:
        """Sweep over some users, until the holdout gains no more; as `Recommender.fit`."""
        drawn = draw(weights, at, self.n_swept * weights.shape[1], self.seed)
        held = hold_out(drawn.weights, drawn.at, self.n_held_out, self.seed)
        watch = Plateau(held, n_threads) if len(held.user_rows) else None
        start = drawn.only(self.start)
        model = self.train(
            held.weights, start, n_threads=n_threads, on_step=on_step, is_enough=watch
        )
        about: dict[str, float] = {"iterations": self.iterations}
        if watch:
            about = {"iterations": watch.n_seen, "holdout_ndcg": watch.best}
        return Swept(drawn, held, self.fitted(model, held.weights, about))

    def finish(self, swept: Swept, weights: sp.csr_matrix, *, n_threads: int = 0) -> FittedFactors:
        """Sweep over everything, if the sweeps lacked anything of it."""
        model, about = taste_of(swept.fitted, self.n_factors), swept.fitted.about
        if swept.is_all:
            return self.fitted(model, weights, about)
        everybody = swept.drawn.spread(model, self.start)
        return self._once_more(everybody, weights, about, n_threads)

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
            regularization=self.regularization * chance(weights),
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
            regularization=self.regularization * chance(weights),
            alpha=self.alpha,
        )
        return FittedFactors(model.user_factors, model.item_factors, weights, solve, about)


def taste_of(fitted: FittedFactors, n_factors: int) -> Model:
    """Return ALS's own columns of factors; behind them there may be popularity."""
    own = slice(n_factors)
    return Model(
        np.ascontiguousarray(fitted.user_factors[:, own]),
        np.ascontiguousarray(fitted.item_factors[:, own]),
    )
