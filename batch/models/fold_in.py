"""Folding in: functions from users' weights to their factors, each with the arrays it needs.

    weights of a user ─► solver ─► factors of the user, which item factors score

What a solver returns for a user depends on that user's weights alone, to the last bit, and
not on the users beside it. So a list that is made for one user, from a snapshot's files, is
the list that the batch made among a million.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Floats
from batch.models.finite import check_finite
from batch.threads import one_blas_thread

_BLOCK_USERS: Final = 1 << 14  # users at a time, which limits copies in double precision
_MIN_RELATIVE_DEVIATION: Final = 1e-6  # below it, scores differ by rounding alone


# From (n_users, n_items) weights to (n_users, n_factors) the factors of the users
Solver = Callable[[sp.csr_matrix], Floats]


@dataclass(frozen=True, slots=True)
class SameForAll:
    """One factor of 1, for models that rank items alike for every user."""

    def __call__(self, weights: sp.csr_matrix) -> Floats:
        """Return ones; see `Solver`."""
        return np.ones((weights.shape[0], 1), np.float32)


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """The weighted sum of vectors of the user's items.

    Attributes:
        vectors: (n_items, n_factors).
    """

    vectors: Floats

    def __call__(self, weights: sp.csr_matrix) -> Floats:
        """Add up; see `Solver`."""
        check_finite(weights.data, "weights of the interactions")
        return np.asarray(weights @ self.vectors, np.float32)


@dataclass(frozen=True, slots=True)
class WithConstant:
    """The factors of another solver, and a last one that is the same for all users.

    Attributes:
        solver: Solver of the other factors.
        constant: Last factor of every user.
    """

    solver: Solver
    constant: float

    def __call__(self, weights: sp.csr_matrix) -> Floats:
        """Solve, and add the factor; see `Solver`."""
        return with_column(self.solver(weights), np.float32(self.constant))


def with_column(factors: Floats, column: Floats | np.float32) -> Floats:
    """Return (n, n_factors + 1) the factors with one more."""
    wider = np.empty((factors.shape[0], factors.shape[1] + 1), np.float32)
    wider[:, :-1], wider[:, -1] = factors, column
    return wider


@dataclass(frozen=True, slots=True)
class Standardised:
    """The factors of another solver, scaled for scores of one standard deviation.

    Attributes:
        solver: Solver of the factors.
        second_moment: (n_factors, n_factors) mean product of two factors of an item.
        mean: (n_factors,) mean factors of the items.
        share: Standard deviation of a user's scores over the items.
    """

    solver: Solver
    second_moment: Doubles
    mean: Doubles
    share: float

    def __call__(self, weights: sp.csr_matrix) -> Floats:
        """Solve and scale; see `Solver`."""
        return self.scaled(self.solver(weights))

    def scaled(self, user_factors: Floats) -> Floats:
        """Return (n_users, n_factors) factors scaled; those of equal scores become 0."""
        scaled = np.empty_like(user_factors)
        for first in range(0, len(user_factors), _BLOCK_USERS):
            users = user_factors[first : first + _BLOCK_USERS].astype(np.float64)
            # User by user: the last bits of a product of matrices depend on its shape.
            with one_blas_thread():
                products = np.matmul(self.second_moment, users[:, :, None])[:, :, 0]
                squares = np.vecdot(products, users)
                variance = squares - np.vecdot(users, self.mean) ** 2
            scale = scale_of(variance, squares, self.share)
            scaled[first : first + _BLOCK_USERS] = users * scale[:, None]
        return scaled


def scale_of(variance: Doubles, squares: Doubles, share: float) -> Doubles:
    """Return the factors that give scores of some variance the standard deviation `share`.

    Args:
        variance: (n_users,) variance of each user's scores.
        squares: (n_users,) mean square of each user's scores.
        share: Standard deviation; scores without differences become 0.
    """
    is_constant = variance <= _MIN_RELATIVE_DEVIATION * squares
    deviation = np.sqrt(np.where(is_constant, 1, variance))
    return np.where(is_constant, 0, share / deviation)


@dataclass(frozen=True, slots=True)
class Joined:
    """The factors of several solvers, side by side.

    Attributes:
        solvers: Solvers of the same users.
    """

    solvers: Sequence[Solver]

    def __call__(self, weights: sp.csr_matrix) -> Floats:
        """Solve each, and join; see `Solver`."""
        return np.concatenate([solver(weights) for solver in self.solvers], axis=1)
