"""BPR: factors that rank what a user has above what they have not, by stochastic gradient."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits

from batch.arrays import Floats, Rows, Times
from batch.errors import BatchError
from batch.models.factors import FittedFactors
from batch.models.finite import check_finite
from batch.models.protocol import Fitted, nothing


@dataclass(frozen=True, slots=True)
class Bpr:
    """Bayesian personalized ranking, by `implicit`.

    It trains on one thread whatever it is given: with more, threads race for the
    same vectors and no two runs are alike.

    Attributes:
        n_factors: Length of a vector; an item's bias comes besides.
        learning_rate: Of the first step to the last.
        regularization: Of all vectors.
        iterations: Passes over as many samples as there are interactions.
        seed: Of the first vectors and of the samples.
    """

    n_factors: int = 64
    learning_rate: float = 0.05
    regularization: float = 0.01
    iterations: int = 100
    seed: int = 42

    name = "bpr"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> FittedFactors:
        """Learn from pairs of what a user has and has not; see `Recommender.fit`.

        Source:
            Rendle, Freudenthaler, Gantner and Schmidt-Thieme, "BPR: Bayesian
            Personalized Ranking from Implicit Feedback", UAI 2009.
        """
        check_finite(weights.data, "weights of the interactions")
        with threadpool_limits(1, "blas"):
            model = BayesianPersonalizedRanking(
                factors=self.n_factors,
                learning_rate=self.learning_rate,
                regularization=self.regularization,
                iterations=self.iterations,
                num_threads=1,
                random_state=self.seed,
            )
            model.fit(weights, show_progress=False, callback=lambda *_: on_step())
        check_finite(model.user_factors, "user factors")
        check_finite(model.item_factors, "item factors")
        return FittedFactors(
            np.asarray(model.user_factors), np.asarray(model.item_factors), weights, _solve
        )

    def refit(
        self, trial: Fitted, user_rows: Rows, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> FittedFactors:
        """Learn anew; see `Recommender.refit`."""
        return self.fit(weights, n_threads=n_threads)


def _solve(_: sp.csr_matrix) -> Floats:
    raise BatchError(
        "bpr",
        "answers only for users that it was trained with",
        "evaluate it with --split time, leave-last-out or pairs",
    )
