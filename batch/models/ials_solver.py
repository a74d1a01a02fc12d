"""One side of iALS given the other: users from items, or items from users.

A user with the items H = (h_1 … h_n) and the weights W = diag(w_1 … w_n) has the factors x with

    (Hᵀ W H  +  α₀ G  +  λ I) x  =  Hᵀ W 1            G = Gram matrix of all item factors
     ───┬───     ──────┬──────
     the user's        shared by all users: diagonal in the eigenvectors of G

So both sides are first rotated, in place, into the eigenvectors of G, largest first, which
changes no score. Then G costs nothing more, and it is most of the preconditioner of the
conjugate gradient.

    rows by length     · · ··· ··· ···· ······ | ████████████████
                       blocks of short rows:   | a long row alone:
                       conjugate gradient      | Cholesky of its normal equations

A block's rows depend on the data alone, so that the number of threads changes no bit.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from batch.arrays import Doubles, Floats, Integers, Rows
from batch.errors import BatchError
from batch.models.finite import check_finite

_BLOCK_BYTES: Final = 4 << 20  # gathered factors of a block, a part of the processor's cache
_OWN_FACTORS: Final = 8  # vectors of a row itself, beside those of its interactions
_GRAM_ROWS: Final = 8192  # rows of factors multiplied at a time
_CG_STEPS: Final = 3
_TINY: Final = np.float32(1e-30)  # in place of a norm of 0, after which nothing is to improve


@dataclass(frozen=True, slots=True)
class Penalty:
    """What of the objective does not depend on the interactions' weights.

    Attributes:
        regularization: Factor of λ.
        unobserved_weight: α₀, the weight of each pair, observed or not.
        frequency_exponent: Exponent of the frequency in λ.
    """

    regularization: float
    unobserved_weight: float
    frequency_exponent: float

    def of(self, n_interactions: Rows, n_others: int) -> Floats:
        """Return λ = regularization · (n + α₀ · n_others)^exponent for rows of n interactions."""
        frequency = n_interactions + self.unobserved_weight * n_others
        return (self.regularization * frequency**self.frequency_exponent).astype(np.float32)


class Side:
    """One side, users or items: its interactions, in blocks of rows of about one length.

    Attributes:
        weights: (n_rows, n_others) weights of the interactions.
        factors: (n_rows, n_factors) factors, which training changes in place.
        lengths: (n_rows,) numbers of interactions.
        max_length: Maximum interactions whose factors are gathered at a time.
        empty_rows: Rows without interactions.
        blocks: Rows that are solved together.
        long_rows: Rows that are solved alone.
    """

    def __init__(self, weights: sp.csr_matrix, factors: Floats) -> None:
        self.weights = weights
        self.factors = factors
        self.lengths = np.diff(weights.indptr).astype(np.int64)
        self.max_length = max(1, _BLOCK_BYTES // (factors.itemsize * factors.shape[1]))
        order = np.argsort(self.lengths, kind="stable")
        lengths = self.lengths[order]
        first, end = np.searchsorted(lengths, [1, self.max_length + 1])
        self.empty_rows = order[:first]
        self.blocks = [order[at] for at in _blocks(lengths[:end], int(first), self.max_length)]
        self.long_rows = order[end:]


def _blocks(lengths: Rows, first: int, max_cells: int) -> Iterator[slice]:
    """Yield slices of the sorted lengths, padded to max_cells or less, or with one row."""
    while first < len(lengths):

        def n_cells(stop: int, first: int = first) -> int:
            return (stop - first) * int(lengths[stop - 1] + _OWN_FACTORS)

        stops = range(first + 1, len(lengths) + 1)
        stop = first + max(1, bisect_right(stops, max_cells, key=n_cells))
        yield slice(first, stop)
        first = stop


@dataclass(frozen=True, slots=True)
class _Equations:
    """The equations of one side, in the eigenvectors of the other side's Gram matrix.

    Attributes:
        side: Side to solve.
        others: (n_others, n_factors) factors of the other side.
        shared: (n_factors,) diagonal of α₀ G.
        penalty: (n_rows,) λ.
        curvature: (n_factors,) expected diagonal of Hᵀ W H per unit of weight.
    """

    side: Side
    others: Floats
    shared: Floats
    penalty: Floats
    curvature: Floats

    def solve_block(self, rows: Rows) -> None:
        """Improve the factors of short rows by some steps of conjugate gradient."""
        weights, gathered = self._gather(rows)
        diagonal = self.shared + self.penalty[rows, None]
        preconditioner = 1 / (diagonal + weights.sum(axis=1)[:, None] * self.curvature)

        def predict(x: Floats) -> Floats:
            return np.asarray(np.matmul(gathered, x[:, :, None])[:, :, 0])

        def pull(errors: Floats) -> Floats:
            return np.asarray(np.matmul((weights * errors)[:, None, :], gathered)[:, 0, :])

        x = self.side.factors[rows]
        residual = pull(1 - predict(x)) - diagonal * x
        direction = preconditioner * residual
        norm = _dots(residual, direction)
        for _ in range(_CG_STEPS):
            image = pull(predict(direction)) + diagonal * direction
            step = norm / np.maximum(_dots(direction, image), _TINY)
            x += step * direction
            residual -= step * image
            preconditioned = preconditioner * residual
            norm, old_norm = _dots(residual, preconditioned), norm
            direction = preconditioned + norm / np.maximum(old_norm, _TINY) * direction
        self.side.factors[rows] = x

    def solve_long(self, row: int) -> None:
        """Solve a long row exactly."""
        shared = np.diag(self.shared + self.penalty[row])
        own = self.side.weights[row]
        self.side.factors[row] = solve_exactly(self.others, shared, own.indices, own.data)

    def _gather(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return (n, longest) weights, 0 beyond a row's end, and the factors beside them."""
        weights, lengths = self.side.weights, self.side.lengths[rows]
        place = np.arange(lengths.max())
        is_own = place < lengths[:, None]
        at = np.where(is_own, weights.indptr[rows][:, None] + place, 0)
        own = np.where(is_own, weights.data[at], np.float32(0))
        return own, np.take(self.others, weights.indices[at], axis=0, mode="clip")


def _dots(left: Floats, right: Floats) -> Floats:
    """Return (n_rows, 1) the inner products of rows."""
    return np.asarray(np.einsum("ij,ij->i", left, right)[:, None])


def solve_side(side: Side, other: Side, penalty: Penalty, pool: ThreadPoolExecutor) -> None:
    """Improve the factors of one side, given those of the other, which are rotated.

    Args:
        side: Side to solve.
        other: The other side.
        penalty: Parameters of the objective.
        pool: Threads.
    """
    gram_matrix = gram(other.factors, pool)
    check_finite(gram_matrix, "products of factors")
    eigenvalues, basis = np.linalg.eigh(gram_matrix)
    rotation = np.ascontiguousarray(basis[:, ::-1], np.float32)
    for factors in (side.factors, other.factors):
        _rotate(factors, rotation, pool)
    equations = _Equations(
        side,
        other.factors,
        (penalty.unobserved_weight * np.maximum(eigenvalues[::-1], 0)).astype(np.float32),
        penalty.of(side.lengths, len(other.factors)),
        _mean_squares(other),
    )
    side.factors[side.empty_rows] = 0
    _wait(pool.map(equations.solve_long, side.long_rows[::-1]))
    _wait(pool.map(equations.solve_block, side.blocks[::-1]))


def gram(factors: Floats, pool: ThreadPoolExecutor) -> Doubles:
    """Return (n_factors, n_factors) the Gram matrix, summed in the order of the rows."""

    def part(at: slice) -> Floats:
        return factors[at].T @ factors[at]

    total = np.zeros((factors.shape[1],) * 2)
    for product in pool.map(part, _slices(len(factors))):
        total += product
    return total


def _mean_squares(side: Side) -> Floats:
    """Return (n_factors,) mean squares of the factors, weighted by numbers of interactions."""
    total = np.zeros(side.factors.shape[1])
    for at in _slices(len(side.factors)):
        total += side.lengths[at].astype(np.float32) @ side.factors[at] ** 2
    return (total / max(1, side.weights.nnz)).astype(np.float32)


def solve_exactly(others: Floats, shared: Floats, rows: Integers, weights: Floats) -> Floats:
    """Return (n_factors,) the exact factors of one row.

    Args:
        others: (n_others, n_factors) factors of the other side.
        shared: (n_factors, n_factors) α₀ G + λ I; not modified.
        rows: (n,) rows of the others that the row has.
        weights: (n,) weights beside them.

    Raises:
        BatchError: The equations have no unique solution.
    """
    matrix, rhs = shared.astype(np.float32), np.zeros(others.shape[1], np.float32)
    for begin in range(0, len(rows), _GRAM_ROWS):
        own = weights[begin : begin + _GRAM_ROWS]
        gathered = others[rows[begin : begin + _GRAM_ROWS]]
        rhs += own @ gathered
        gathered *= np.sqrt(own)[:, None]
        matrix += gathered.T @ gathered
    try:
        factor = scipy.linalg.cho_factor(matrix, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError as error:
        raise BatchError(
            "factors",
            "the equations of a user or item have no solution",
            "raise [batch] ials_regularization",
        ) from error
    return np.asarray(scipy.linalg.cho_solve(factor, rhs, check_finite=False))


def _rotate(factors: Floats, rotation: Floats, pool: ThreadPoolExecutor) -> None:
    def part(at: slice) -> None:
        factors[at] = factors[at] @ rotation

    _wait(pool.map(part, _slices(len(factors))))


def _slices(n_rows: int) -> Iterator[slice]:
    return (slice(begin, begin + _GRAM_ROWS) for begin in range(0, n_rows, _GRAM_ROWS))


def _wait(results: Iterable[object]) -> None:
    for _ in results:
        pass
