"""Least squares of single users: their factors, given those of the items, from their weights.

A user with the items H = (h_1 … h_n) and the weights W = diag(w_1 … w_n) has the factors x with

    (Hᵀ W H  +  G  +  λ I) x  =  Hᵀ (W + offset) 1        G diagonal: see `diagonalised`

by a fixed number of steps of the conjugate gradient from 0, preconditioned with the expected
diagonal. Users of about one length are solved together, padded to a length that depends on
their own alone, and each product is one user's: so neither block nor threads change a bit.

    length of a user     1 … 8    9 … 16    …    65 … 80    81 … 96    …
    padded to              8        16             80         96
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Floats, Integers, Rows
from batch.models.finite import check_finite
from batch.threads import one_blas_thread, usable

_STEPS: Final = 12
_BLOCK_BYTES: Final = 2 << 20  # gathered factors of a block, a part of the processor's cache
_MIN_LENGTH_BITS: Final = 3  # padded to 8 at least
_PRECISION_BITS: Final = 3  # padded by an eighth at most, where users are longer
_TINY: Final = np.float32(1e-30)  # in place of a norm of 0, after which nothing is to improve


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """The solver of a model of weighted least squares; see `Solver`.

    Attributes:
        item_factors: (n_items, n_factors), with a diagonal Gram matrix.
        diagonal: (n_factors,) G, the diagonal of that matrix times the unobserved weight.
        curvature: (n_factors,) expected diagonal of Hᵀ W H per unit of weight.
        scale: Factor of the given weights, for w.
        offset: Number added to w on the right side.
        penalty: λ of a user with a frequency of 1.
        unobserved: Frequency of a user without items.
        exponent: Exponent of the frequency, the user's items and `unobserved`, in λ.
    """

    item_factors: Floats
    diagonal: Floats
    curvature: Floats
    scale: float
    offset: float
    penalty: float
    unobserved: float = 0.0
    exponent: float = 0.0

    @classmethod
    def of(
        cls, item_factors: Floats, n_users: Rows, *, unobserved_weight: float, **parameters: float
    ) -> Self:
        """Return the solver for item factors with a diagonal Gram matrix.

        Args:
            item_factors: (n_items, n_factors).
            n_users: (n_items,) users of each item.
            unobserved_weight: Factor of the Gram matrix.
            parameters: `scale`, `offset`, `penalty`, `unobserved` and `exponent`.
        """
        squares = item_factors.astype(np.float64) ** 2
        diagonal = unobserved_weight * squares.sum(axis=0)
        curvature = n_users @ squares / max(int(n_users.sum()), 1)
        return cls(
            item_factors, diagonal.astype(np.float32), curvature.astype(np.float32), **parameters
        )

    def __call__(self, weights: sp.csr_matrix, n_threads: int = 1) -> Floats:
        """Solve the users block by block; see `Solver`."""
        check_finite(weights.data, "weights of the interactions")
        factors = np.zeros((weights.shape[0], self.item_factors.shape[1]), np.float32)

        def solve(block: tuple[Rows, int]) -> None:
            rows, length = block
            factors[rows] = self._solve(weights, rows, length)

        max_cells = max(_BLOCK_BYTES // (4 * self.item_factors.shape[1]), 1)
        blocks = list(_blocks(np.diff(weights.indptr), max_cells))
        with one_blas_thread():
            if len(blocks) == 1:  # in this thread: one user takes less time than a pool
                solve(blocks[0])
            else:
                with ThreadPoolExecutor(usable(n_threads)) as pool:
                    list(pool.map(solve, blocks))
        return factors

    def _solve(self, weights: sp.csr_matrix, rows: Rows, length: int) -> Floats:
        """Return (len(rows), n_factors) the factors of users, padded to `length` items."""
        starts, lengths = weights.indptr[rows], np.diff(weights.indptr)[rows]
        place = np.arange(length)
        is_own = place < lengths[:, None]
        at = np.where(is_own, starts[:, None] + place, 0)
        own = np.where(is_own, weights.data[at], 0).astype(np.float32) * np.float32(self.scale)
        items = self.item_factors[np.where(is_own, weights.indices[at], 0)]
        target = own + np.where(is_own, np.float32(self.offset), np.float32(0))
        frequency = lengths + self.unobserved
        penalty = (self.penalty * frequency**self.exponent).astype(np.float32)
        diagonal = self.diagonal + penalty[:, None]
        preconditioner = 1 / (diagonal + own.sum(axis=1)[:, None] * self.curvature)
        return _conjugate_gradient(items, own, target, diagonal, preconditioner)


def _conjugate_gradient(
    items: Floats, own: Floats, target: Floats, diagonal: Floats, preconditioner: Floats
) -> Floats:
    """Return (n, n_factors) x with (Hᵀ W H + D) x = Hᵀ target, each user by itself.

    Args:
        items: (n, length, n_factors) H, any vectors beyond a user's end.
        own: (n, length) W, 0 beyond a user's end.
        target: (n, length), 0 beyond a user's end.
        diagonal: (n, n_factors) D.
        preconditioner: (n, n_factors) inverse of the expected diagonal.
    """

    def pull(values: Floats) -> Floats:
        return np.asarray(np.matmul(values[:, None, :], items)[:, 0, :])

    residual = pull(target)
    x = np.zeros_like(residual)
    direction = preconditioner * residual
    norm = np.vecdot(residual, direction)[:, None]
    for _ in range(_STEPS):
        predicted = np.matmul(items, direction[:, :, None])[:, :, 0]
        image = pull(own * predicted) + diagonal * direction
        step = norm / np.maximum(np.vecdot(direction, image)[:, None], _TINY)
        x += step * direction
        residual -= step * image
        preconditioned = preconditioner * residual
        norm, old_norm = np.vecdot(residual, preconditioned)[:, None], norm
        direction = preconditioned + norm / np.maximum(old_norm, _TINY) * direction
    return x


def _blocks(lengths: Integers, max_cells: int) -> Iterator[tuple[Rows, int]]:
    """Yield rows of users, and the length that they are padded to; not those without items."""
    padded = _padded(lengths)
    order = np.argsort(padded, kind="stable")
    edges = np.flatnonzero(np.diff(padded[order], prepend=-1, append=-1))
    for first, end in pairwise(edges):
        length = int(padded[order[first]])
        step = max(max_cells // max(length, 1), 1)
        for begin in range(first, end if length else first, step):
            yield order[begin : min(begin + step, end)], length


def _padded(lengths: Integers) -> Rows:
    """Return the next multiple of a power of 2 that is an eighth of the length at most."""
    n = lengths.astype(np.int64)
    bits = np.maximum(np.frexp(n)[1] - 1 - _PRECISION_BITS, _MIN_LENGTH_BITS)
    unit = np.int64(1) << bits.astype(np.int64)
    return np.asarray(-(-n // unit) * unit)


def diagonalised(item_factors: Floats) -> Floats:
    """Return item factors in the eigenvectors of their Gram matrix, the largest first.

    Users that are solved with them have the same scores.
    """
    items = item_factors.astype(np.float64)
    with one_blas_thread():  # the same bits on any number of threads
        gram: Doubles = items.T @ items
        check_finite(gram, "products of factors")
        rotation = np.ascontiguousarray(np.linalg.eigh(gram)[1][:, ::-1])
        return np.asarray(items @ rotation, np.float32)
