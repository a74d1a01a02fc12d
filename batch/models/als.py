"""Implicit ALS with early stopping on a holdout, and one final sweep over everything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.models.factors import Factors, FittedFactors
from batch.models.holdout import EarlyStopping, Holdout, hold_out
from batch.models.least_squares import AlsParameters, train_als
from batch.models.least_squares_users import LeastSquares, diagonalised
from batch.models.noise import noise_singular_value
from batch.models.popularity import users_of_items
from batch.models.protocol import Fitted
from batch.models.sweep import OnStep, Sweep
from batch.progress import noop
from batch.sampling import scatter_back


@dataclass(frozen=True, slots=True)
class Als:
    """Alternating least squares as a recommender.

    Attributes:
        n_factors: Length of a factor vector.
        regularization: Regularization in multiples of the noise of such a matrix
            (see `noise`).
        alpha: Growth of the confidence, 1 + alpha · weight.
        iterations: Maximum sweeps over users and items.
        seed: Random seed of the first vectors and of the holdout.
        n_held_out: Maximum users of whom one item is held out for early stopping;
            0: no early stopping.
        start: Initial factors, in the rows of the weights (see `warm`); None: random.
    """

    n_factors: int = 64
    regularization: float = 1.0
    alpha: float = 2.0
    iterations: int = 15
    seed: int = 42
    n_held_out: int = 0
    start: Factors | None = None

    name = "als"
    unobserved_weight = 1.0

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: OnStep = noop,
    ) -> FittedFactors:
        """Factorize; see `Recommender.fit`."""
        held = hold_out(weights, at, self.n_held_out, self.seed)
        factors, about = self._sweep(held, n_threads=n_threads, on_step=on_step)
        if len(held.user_rows):  # once more, with the holdout included
            return self._sweep_once(factors, weights, about, n_threads)
        return self._fitted(factors, weights, about, n_threads)

    def refit(
        self,
        trial: Fitted,
        user_rows: Rows,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
    ) -> FittedFactors:
        """Sweep once over everything; see `Recommender.refit`."""
        assert isinstance(trial, FittedFactors)
        start = scatter_back(trial.factors, user_rows, weights.shape[0], self.start)
        return self._sweep_once(start, weights, trial.about, n_threads)

    def _sweep(
        self, held: Holdout, *, n_threads: int, on_step: OnStep
    ) -> tuple[Factors, Mapping[str, float]]:
        """Train on everything outside of the holdout, with early stopping on the holdout."""
        stopping = EarlyStopping(held, n_threads) if len(held.user_rows) else None

        def on_iteration(factors: Factors) -> bool:
            on_step(Sweep(self.name, factors))
            return stopping is not None and stopping(factors)

        factors = self.train(
            held.weights, self.start, n_threads=n_threads, on_iteration=on_iteration
        )
        about: dict[str, float] = {"iterations": self.iterations}
        if stopping:
            about = {"iterations": stopping.n_seen, "holdout_ndcg": stopping.best}
        return factors, about

    def _sweep_once(
        self,
        start: Factors,
        weights: sp.csr_matrix,
        about: Mapping[str, float],
        n_threads: int,
    ) -> FittedFactors:
        factors = self.train(weights, start, iterations=1, n_threads=n_threads)
        about = {**about, "iterations": about["iterations"] + 1}
        return self._fitted(factors, weights, about, n_threads)

    def train(
        self,
        weights: sp.csr_matrix,
        start: Factors | None,
        *,
        iterations: int | None = None,
        n_threads: int = 0,
        on_iteration: Callable[[Factors], object] = noop,
    ) -> Factors:
        """Return factors trained with these parameters; see `train_als`.

        Args:
            weights: (n_users, n_items) weights of the interactions.
            start: Initial factors; None: random ones.
            iterations: Maximum sweeps; None: those of the parameters.
            n_threads: Number of threads; 0 means all processors.
            on_iteration: Callback after each sweep; a true result ends the training.
        """
        parameters = AlsParameters(
            n_factors=self.n_factors,
            regularization=self._penalty(*weights.shape, weights.nnz),
            alpha=self.alpha,
            iterations=self.iterations if iterations is None else iterations,
            seed=self.seed,
        )
        return train_als(
            weights,
            parameters,
            start,
            n_threads=n_threads,
            on_iteration=on_iteration,
        )

    def user_penalty(self, n_users_of: Rows, n_users: int) -> float:
        """Return λ, the same for all users; see `FactorModel.user_penalty`."""
        return self._penalty(n_users, len(n_users_of), int(n_users_of.sum()))

    def item_penalty(self, n_users_of: Rows, n_users: int) -> Floats:
        """Return λ, the same for all items; see `FactorModel.item_penalty`."""
        penalty = self.user_penalty(n_users_of, n_users)
        return np.full(len(n_users_of), penalty, np.float32)

    def _penalty(self, n_users: int, n_items: int, n_pairs: int) -> float:
        return self.regularization * noise_singular_value(n_users, n_items, n_pairs)

    def _fitted(
        self,
        factors: Factors,
        weights: sp.csr_matrix,
        about: Mapping[str, float],
        n_threads: int,
    ) -> FittedFactors:
        """Return the model of these item factors, with the users of `weights` folded in."""
        item_factors = diagonalised(factors.item_factors)
        solve = LeastSquares.of(
            item_factors,
            users_of_items(weights),
            unobserved_weight=1.0,
            scale=self.alpha,
            offset=1.0,
            penalty=self._penalty(*weights.shape, weights.nnz),
        )
        return FittedFactors(solve(weights, n_threads), item_factors, weights, solve, about)
