"""A sweep over users who are elsewhere: users are solved where they are, items by sums over them.

    item factors ─► users' factors, part by part ─┬─► sums, once: Gram matrix, residuals of items
                                                  └─► images of directions, one each step
    sums ─► equations of all items ─► conjugate gradient ─► item factors

An item with the users X = (x_1 … x_n) and the weights W = diag(w_1 … w_n) has the factors y with

    (Xᵀ W X  +  α₀ G  +  λ I) y  =  Xᵀ (W + offset) 1        G = Gram matrix of all users

No matrix of an item is ever made: Xᵀ W X p is a sum over the item's users, of w (x · p) x. So what
is moved has the size of the item factors, however many users there are.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Floats, Rows
from batch.models.factors import FittedFactors
from batch.models.finite import check_finite
from batch.models.least_squares_users import LeastSquares, diagonalised
from batch.threads import one_blas_thread

_STEPS: Final = 2  # of the conjugate gradient, from where the items are
_BLOCK: Final = 1 << 16  # interactions predicted at a time, which limits copies of factors
_PIECE: Final = 1 << 16  # values moved together
_TINY: Final = 1e-30  # in place of a norm of 0, after which nothing is to improve

Sums = tuple[Doubles, ...]


class SweepSums(NamedTuple):
    """What the items' equations need of the users, once.

    Attributes:
        gram: (n_factors, n_factors) Gram matrix of the users' factors.
        squares: (n_factors, n_factors) the same, each user as often as the user has items.
        n_users: (n_items,) users of each item.
        weight: (n_items,) their weights.
        residual: (n_items, n_factors) Xᵀ (W + offset) 1 - Xᵀ W X y of each item's factors y.
    """

    gram: Doubles
    squares: Doubles
    n_users: Doubles
    weight: Doubles
    residual: Doubles


@dataclass(frozen=True, slots=True)
class SolvedUsers:
    """Some users with their factors.

    Attributes:
        factors: (n_users, n_factors) factors, given those of the items.
        weights: (n_users, n_items) weights as the equations have them.
        offset: Number added to a weight on the right side.
    """

    factors: Floats
    weights: sp.csr_matrix
    offset: float

    @classmethod
    def of(cls, weights: sp.csr_matrix, solve: LeastSquares) -> "SolvedUsers":
        """Solve the users of some weights."""
        own = weights.data.astype(np.float32) * np.float32(solve.scale)
        scaled = sp.csr_matrix((own, weights.indices, weights.indptr), weights.shape)
        return cls(solve(weights), scaled, solve.offset)

    def sums(self, items: Floats) -> SweepSums:
        """Return the sums over these users.

        Args:
            items: (n_items, n_factors) factors of the items.
        """
        factors, weights = self.factors.astype(np.float64), self.weights
        n_items_of = np.diff(weights.indptr)

        def of_items(values: Doubles | None) -> Doubles:
            counted = np.bincount(weights.indices, values, minlength=weights.shape[1])
            return np.asarray(counted, np.float64)

        with one_blas_thread():
            gram = factors.T @ factors
            squares = factors.T @ (factors * n_items_of[:, None])
        errors = weights.data * (1 - self._predicted(items)) + np.float32(self.offset)
        weight = of_items(weights.data.astype(np.float64))
        return SweepSums(gram, squares, of_items(None), weight, self._added(errors))

    def image(self, items: Floats) -> Sums:
        """Return (n_items, n_factors) Xᵀ W X p of each item.

        Args:
            items: (n_items, n_factors) p, a vector for each item.
        """
        return (self._added(self.weights.data * self._predicted(items)),)

    def _added(self, values: Floats) -> Doubles:
        """Return (n_items, n_factors) the users' factors, times the value of each interaction."""
        weights = self.weights
        of_users = sp.csr_matrix((values, weights.indices, weights.indptr), weights.shape)
        return np.asarray(of_users.T @ self.factors, np.float64)

    def _predicted(self, items: Floats) -> Floats:
        """Return (n_interactions,) the product of the user's factors and the item's vector."""
        indices = self.weights.indices
        user_rows = np.repeat(np.arange(len(self.factors)), np.diff(self.weights.indptr))
        predicted = np.empty(len(indices), np.float32)
        for first in range(0, len(indices), _BLOCK):
            at = slice(first, first + _BLOCK)
            predicted[at] = np.vecdot(self.factors[user_rows[at]], items[indices[at]])
        return predicted


class UserPasses(Protocol):
    """Users who are solved, part by part, and can be passed over again and again."""

    def total(
        self, of_part: Callable[[SolvedUsers], Sums], shapes: Sequence[tuple[int, ...]]
    ) -> Sums:
        """Return the sums over all users.

        Args:
            of_part: Function from some users to their sums, which can be pickled.
            shapes: Shapes of the sums.
        """


class AllUsers(Protocol):
    """All users with their weights, in the rows of the items that are trained on."""

    @property
    def n_users(self) -> int:
        """Number of the users."""

    def solved(self, solve: LeastSquares) -> AbstractContextManager[UserPasses]:
        """Keep the users with their factors until the context ends."""


def pieces_of(sums: Sums) -> Iterator[Doubles]:
    """Yield the values of all arrays, in pieces of half a megabyte."""
    values = np.concatenate([one.ravel() for one in sums])
    for first in range(0, len(values), _PIECE):
        yield values[first : first + _PIECE]


def joined(pieces: Iterable[Doubles], shapes: Iterable[tuple[int, ...]]) -> Sums:
    """Return the arrays of these shapes whose pieces `pieces_of` has yielded."""
    values, arrays, first = np.concatenate([*pieces]), [], 0
    for shape in shapes:
        end = first + math.prod(shape)
        arrays.append(values[first:end].reshape(shape))
        first = end
    return tuple(arrays)


def total_of(parts: Iterable[Sums]) -> list[Sums]:
    """Return the sum of all parts, added in this order; empty without any part."""
    total: list[Doubles] = []
    for part in parts:
        if not total:
            total = [one.copy() for one in part]
            continue
        for sum_, one in zip(total, part, strict=True):
            sum_ += one
    return [tuple(total)] if total else []


class FactorModel(Protocol):
    """A model of factors whose users and items each solve weighted least squares."""

    @property
    def unobserved_weight(self) -> float:
        """α₀, the weight of each pair of user and item."""

    def user_penalty(self, n_users_of: Rows, n_users: int) -> float:
        """Return λ of a user with a frequency of 1.

        Args:
            n_users_of: (n_items,) users of each item.
            n_users: Number of all users.
        """

    def item_penalty(self, n_users_of: Rows, n_users: int) -> Floats:
        """Return (n_items,) λ of each item; the arguments are those of `user_penalty`."""


def train_on_all(
    model: FactorModel, fitted: FittedFactors, users: AllUsers, iterations: int, n_threads: int = 0
) -> tuple[FittedFactors, Rows]:
    """Return the model after some sweeps over all users, and (n_items,) users of each item.

    Args:
        model: Parameters of the model.
        fitted: Model of a sample of the users, which stay those of the result.
        users: All users.
        iterations: Sweeps.
        n_threads: Number of threads for the users of the sample; 0: all processors.

    Raises:
        BatchError: The factors are not finite.
    """
    solve, n_users_of = fitted.solve, np.zeros(0, np.int64)
    assert isinstance(solve, LeastSquares)
    for _ in range(iterations):
        with users.solved(solve) as passes:
            of_part = partial(SolvedUsers.sums, items=solve.item_factors)
            n_items, n_factors = solve.item_factors.shape
            square, of_items = (n_factors, n_factors), (n_items,)
            shapes = (square, square, of_items, of_items, (n_items, n_factors))
            sums = SweepSums(*passes.total(of_part, shapes))
            n_users_of = sums.n_users.astype(np.int64)
            penalty = model.item_penalty(n_users_of, users.n_users)
            item_factors = _solved_items(passes, sums, solve, model.unobserved_weight, penalty)
        solve = LeastSquares.of(
            diagonalised(item_factors),
            n_users_of,
            unobserved_weight=model.unobserved_weight,
            scale=solve.scale,
            offset=solve.offset,
            penalty=model.user_penalty(n_users_of, users.n_users),
            unobserved=solve.unobserved,
            exponent=solve.exponent,
        )
    about = {**fitted.about, "iterations": fitted.about["iterations"] + iterations}
    user_factors = solve(fitted.seen, n_threads)
    return FittedFactors(user_factors, solve.item_factors, fitted.seen, solve, about), n_users_of


def _solved_items(
    users: UserPasses,
    sums: SweepSums,
    solve: LeastSquares,
    unobserved_weight: float,
    penalty: Floats,
) -> Floats:
    """Return better factors of the items, 0 for one without users."""
    check_finite(sums.gram, "products of factors")
    start = np.where(sums.n_users[:, None] > 0, solve.item_factors, np.float32(0))
    with one_blas_thread():
        equations = _Equations.of(users, sums, unobserved_weight, penalty)
        factors = equations.improve(start, sums.residual)
    check_finite(factors, "item factors")
    return factors


@dataclass(frozen=True, slots=True)
class _Equations:
    """The equations of all items, in the eigenvectors of the users' Gram matrix.

    Attributes:
        users: All users.
        rotation: (n_factors, n_factors) eigenvectors, as columns.
        diagonal: (n_items, n_factors) diagonal of α₀ G + λ I.
        preconditioner: (n_items, n_factors) inverse of the expected diagonal with Xᵀ W X.
    """

    users: UserPasses
    rotation: Doubles
    diagonal: Doubles
    preconditioner: Doubles

    @classmethod
    def of(
        cls, users: UserPasses, sums: SweepSums, unobserved_weight: float, penalty: Floats
    ) -> "_Equations":
        eigenvalues, rotation = np.linalg.eigh(sums.gram)
        shared = unobserved_weight * np.maximum(eigenvalues, 0)
        diagonal = shared + penalty[:, None]
        squares = np.einsum("ij,ij->j", rotation, sums.squares @ rotation)
        curvature = squares / max(1.0, sums.n_users.sum())
        preconditioner = 1 / (diagonal + sums.weight[:, None] * curvature)
        return cls(users, rotation, diagonal, preconditioner)

    def improve(self, start: Floats, residual: Doubles) -> Floats:
        """Return the factors after some steps of the conjugate gradient.

        Args:
            start: (n_items, n_factors) factors to begin with.
            residual: (n_items, n_factors) what the users add to their residual.
        """
        x = start @ self.rotation
        residual = residual @ self.rotation - self.diagonal * x
        direction = self.preconditioner * residual
        norm = _dots(residual, direction)
        for _ in range(_STEPS):
            image = self._image(direction) + self.diagonal * direction
            step = norm / np.maximum(_dots(direction, image), _TINY)
            x += step * direction
            residual -= step * image
            preconditioned = self.preconditioner * residual
            norm, old_norm = _dots(residual, preconditioned), norm
            direction = preconditioned + norm / np.maximum(old_norm, _TINY) * direction
        return np.asarray(x @ self.rotation.T, np.float32)

    def _image(self, direction: Doubles) -> Doubles:
        given = np.asarray(direction @ self.rotation.T, np.float32)
        (image,) = self.users.total(partial(SolvedUsers.image, items=given), [given.shape])
        return np.asarray(image @ self.rotation)


def _dots(left: Doubles, right: Doubles) -> Doubles:
    """Return (n_items, 1) the inner products of rows."""
    return np.asarray(np.vecdot(left, right)[:, None])
