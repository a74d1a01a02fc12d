"""iALS: factors with a weight of unobserved pairs and a regularization scaled by frequency.

         Σ  w_ui (ŷ_ui - 1)²   +   α₀ Σ ŷ_ui²   +   Σ λ_u ‖x_u‖²   +   Σ λ_i ‖y_i‖²
      observed                   all pairs          users              items

    λ_u = regularization · (number of the user's items + α₀ · n_items)^exponent,  λ_i alike

The weights w are those of the data divided by their mean over the training data, so that α₀
and the regularization have the same meaning whatever a view is worth. With ones as weights it
is the published objective. The mean is kept for folded-in users.

Source:
    Rendle, Krichene, Zhang and Koren, "Revisiting the Performance of iALS on Item
    Recommendation Benchmarks", RecSys 2022, section 3; Rendle, Krichene, Zhang and Koren,
    "iALS++: Speeding up Matrix Factorization with Subspace Optimization", 2021.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import Floats, Rows, Times
from batch.models.factors import Factors, FittedFactors
from batch.models.finite import check_finite
from batch.models.ials_solver import Penalty, Side, solve_side
from batch.models.least_squares_users import LeastSquares, diagonalised
from batch.models.protocol import Fitted
from batch.models.sweep import OnStep, Sweep
from batch.progress import noop
from batch.sampling import scatter_back
from batch.threads import usable

_INITIAL_NORM: Final = 0.1  # root mean square norm of the random initial vectors


@dataclass(frozen=True, slots=True)
class Ials:
    """Implicit ALS as published, as a recommender.

    Attributes:
        n_factors: Length of a factor vector.
        regularization: Factor of λ.
        unobserved_weight: α₀, the weight of each pair of user and item.
        frequency_exponent: Exponent of the frequency in λ; 0: the same λ for all.
        iterations: Sweeps over users and items.
        seed: Random seed of the initial vectors.
        start: Initial factors, in the rows of the weights (see `warm`); None: random.
    """

    n_factors: int = 128
    regularization: float = 0.007
    unobserved_weight: float = 0.3
    frequency_exponent: float = 1.0
    iterations: int = 12
    seed: int = 42
    start: Factors | None = None

    name = "ials"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: OnStep = noop,
    ) -> FittedFactors:
        """Sweep over users and items; see `Recommender.fit`."""
        start = self._initial_factors(weights.shape)
        return self._sweep(start, weights, self.iterations, n_threads=n_threads, on_step=on_step)

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
        factors = _copy(Factors(trial.user_factors, trial.item_factors))
        # Training rotates the factors, so that other users' vectors of the start do not fit.
        start = scatter_back(factors, user_rows, weights.shape[0], None)
        fitted = self._sweep(start, weights, 1, n_threads=n_threads)
        return replace(fitted, about={"iterations": trial.about["iterations"] + 1})

    def _sweep(
        self,
        start: Factors,
        weights: sp.csr_matrix,
        iterations: int,
        *,
        n_threads: int,
        on_step: OnStep = noop,
    ) -> FittedFactors:
        """Train in place of the start, and return the model for the users of `weights`."""
        check_finite(weights.data, "weights of the interactions")
        mean_weight = float(weights.data.mean(dtype=np.float64)) if weights.nnz else 1.0
        relative = _divide(weights, mean_weight)
        users, items = (
            Side(relative, start.user_factors),
            Side(relative.T.tocsr(), start.item_factors),
        )
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable(n_threads)) as pool:
            for _ in range(iterations):
                solve_side(users, items, self._penalty, pool)
                solve_side(items, users, self._penalty, pool)
                on_step(Sweep(self.name, Factors(users.factors, items.factors)))
        check_finite(items.factors, "item factors")
        item_factors = diagonalised(items.factors)
        solve = LeastSquares.of(
            item_factors,
            items.lengths,
            unobserved_weight=self.unobserved_weight,
            scale=1 / mean_weight,
            offset=0.0,
            penalty=self.regularization,
            unobserved=self.unobserved_weight * len(item_factors),
            exponent=self.frequency_exponent,
        )
        del users, items  # as large as the factors that follow
        user_factors = solve(weights, n_threads)  # as they would be folded in
        check_finite(user_factors, "user factors")
        return FittedFactors(user_factors, item_factors, weights, solve, {"iterations": iterations})

    def user_penalty(self, n_users_of: Rows, n_users: int) -> float:
        """Return the factor of λ; see `FactorModel.user_penalty`."""
        return self.regularization

    def item_penalty(self, n_users_of: Rows, n_users: int) -> Floats:
        """Return λ of each item; see `FactorModel.item_penalty`."""
        return self._penalty.of(n_users_of, n_users)

    @property
    def _penalty(self) -> Penalty:
        return Penalty(self.regularization, self.unobserved_weight, self.frequency_exponent)

    def _initial_factors(self, shape: tuple[int, int]) -> Factors:
        """Return factors that training may write to: random ones, or a copy of the start."""
        if self.start is None:
            random = np.random.default_rng(self.seed)
            scale = np.float32(_INITIAL_NORM / np.sqrt(self.n_factors))
            users, items = (
                scale * random.standard_normal((n, self.n_factors), np.float32) for n in shape
            )
            return Factors(users, items)
        found = (self.start.user_factors.shape, self.start.item_factors.shape)
        expected = ((shape[0], self.n_factors), (shape[1], self.n_factors))
        if found != expected:
            raise ValueError(f"initial factors: shapes are {found}; they must be {expected}")
        check_finite(self.start.user_factors, "initial user factors")
        check_finite(self.start.item_factors, "initial item factors")
        return _copy(self.start)


def _divide(weights: sp.csr_matrix, mean_weight: float) -> sp.csr_matrix:
    data = weights.data.astype(np.float32) / np.float32(mean_weight)
    return sp.csr_matrix((data, weights.indices, weights.indptr), weights.shape)


def _copy(factors: Factors) -> Factors:
    users, items = (np.array(side, np.float32, order="C") for side in factors)
    return Factors(users, items)
