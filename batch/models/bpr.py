"""BPR: factors that rank a user's items above all others, by stochastic gradient descent."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from implicit.cpu.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits

from batch.arrays import Floats, Times
from batch.errors import BatchError
from batch.models.factors import Factors, FittedFactors
from batch.models.finite import check_finite
from batch.models.protocol import TrainedAnew
from batch.models.sweep import OnStep, Sweep
from batch.progress import noop


@dataclass(frozen=True, slots=True)
class Bpr(TrainedAnew):
    """Bayesian personalized ranking, by `implicit`.

    It always trains on one thread: more threads would race for the same vectors, and
    no two runs would be alike.

    Attributes:
        n_factors: Length of a factor vector, without the item's bias.
        learning_rate: Constant step size.
        regularization: L2 regularization of all vectors.
        iterations: Passes over as many samples as there are interactions.
        seed: Random seed of the first vectors and of the samples.
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
        on_step: OnStep = noop,
    ) -> FittedFactors:
        """Train on pairs of a user's item and another one; see `Recommender.fit`.

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
            model.fit(weights, show_progress=False, callback=lambda *_: on_step(_sweep(model)))
        check_finite(model.user_factors, "user factors")
        check_finite(model.item_factors, "item factors")
        return FittedFactors(
            np.asarray(model.user_factors), np.asarray(model.item_factors), weights, _solve
        )


def _sweep(model: BayesianPersonalizedRanking) -> Sweep:
    return Sweep(Bpr.name, Factors(model.user_factors, model.item_factors))


def _solve(_: sp.csr_matrix) -> Floats:
    raise BatchError(
        "bpr",
        "cannot fold in users outside of its training data",
        "evaluate it with --split time, leave-last-out or pairs",
    )
