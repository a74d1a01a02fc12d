"""EASE: the linear model that predicts each item from all others, in closed form.

    G = XᵀX + λI          X: 1 where the user has the item
    B = I - G⁻¹ · diag(G⁻¹)⁻¹,  so that diag(B) = 0
    scores = X B

    memory while training: 8 bytes · n² for G, inverted in place, and 4 bytes · n² for B

Where the catalogue has more than `max_items`, n are the items with the most users; the
others have a score of 0, and come after those with a score above it.

Source:
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, section 3.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Floats, Rows, Times
from batch.errors import BatchError, MemoryLimitError
from batch.memory import available_bytes
from batch.models.finite import check_finite
from batch.models.item_item import FittedItemItem, ones
from batch.models.popularity import Popularity
from batch.models.protocol import TrainedAnew
from batch.progress import noop
from batch.threads import usable

_BYTES_PER_PAIR: Final = 12  # of items: double precision for G, single for B
_GIB: Final = 1 << 30
_BLOCK_ITEMS: Final = 256  # rows of the Gram matrix computed at a time


@dataclass(frozen=True, slots=True)
class Ease(TrainedAnew):
    """A linear model of items, by ridge regression without self-prediction.

    Attributes:
        regularization: λ, added to the number of users of each item.
        max_items: Maximum items in the model, those with the most users.
        n_neighbours: Weights kept for each item, the largest in size; 0: all.
    """

    regularization: float = 1000.0
    max_items: int = 10_000
    n_neighbours: int = 0

    name = "ease"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedItemItem:
        """Invert the Gram matrix; see `Recommender.fit`.

        Raises:
            MemoryLimitError: The memory available is less than `training_bytes`.
            BatchError: The matrix is singular, too.
        """
        check_finite(weights.data, "weights of the interactions")
        self._check_memory(weights.shape[1])
        popular = Popularity().fit(weights)
        history = ones(weights)
        item_rows = _most_popular(popular.item_factors[:, 0], self.max_items)
        has = history if item_rows is None else sp.csr_matrix(history[:, item_rows])
        inverse = gram(has, n_threads)
        inverse[np.diag_indices_from(inverse)] += self.regularization
        on_step()
        _invert(inverse)
        item_item = _weights_of(inverse)
        on_step()
        kept = _cut(item_item, self.n_neighbours) if self.n_neighbours else item_item
        return FittedItemItem(
            history, kept, popular, item_rows=item_rows, about={"ease_items": len(item_item)}
        )

    def training_bytes(self, n_items: int) -> int:
        """Return the memory that training takes, beside the interactions."""
        return _BYTES_PER_PAIR * min(n_items, self.max_items) ** 2

    def _check_memory(self, n_items: int) -> None:
        needed, available = self.training_bytes(n_items), available_bytes()
        if needed > available:
            affordable = math.isqrt(available // _BYTES_PER_PAIR)
            raise MemoryLimitError(
                f"EASE of {min(n_items, self.max_items):,} items",
                f"training takes {needed / _GIB:.1f} GiB of {available / _GIB:.1f} available",
                f"set [batch] ease_max_items to {affordable} or less",
            )


def gram(has: sp.csr_matrix, n_threads: int = 0) -> Doubles:
    """Return (n_items, n_items) XᵀX, block by block of rows."""
    by_item = sp.csr_matrix(has.T)
    product = np.empty((has.shape[1], has.shape[1]))

    def fill(first: int) -> None:
        rows = slice(first, first + _BLOCK_ITEMS)
        product[rows] = (by_item[rows] @ has).toarray()

    with ThreadPoolExecutor(usable(n_threads)) as pool:
        list(pool.map(fill, range(0, len(product), _BLOCK_ITEMS)))
    return product


def _invert(matrix: Doubles) -> None:
    """Replace the lower triangle of a positive definite matrix with that of its inverse."""
    # The transpose is in LAPACK's order, so that no copy is made; one thread of BLAS, for
    # the last bits depend on their number.
    with threadpool_limits(1, "blas"):
        _, not_positive = lapack.dpotrf(matrix.T, lower=0, overwrite_a=1, clean=0)
        if not_positive:
            raise BatchError(
                f"{len(matrix):,} items of EASE",
                "their matrix is not positive definite",
                "raise [batch] ease_regularization",
            )
        lapack.dpotri(matrix.T, lower=0, overwrite_c=1)


def _weights_of(inverse: Doubles) -> Floats:
    """Return (n_items, n_items) B of the lower triangle of the inverse of G."""
    diagonal = np.diag(inverse).copy()
    item_item = np.empty(inverse.shape, np.float32)
    for first in range(0, len(inverse), _BLOCK_ITEMS):
        rows = slice(first, first + _BLOCK_ITEMS)
        block = np.tril(inverse[rows, : rows.stop], first)
        block[:, first:] += np.tril(block[:, first:], -1).T
        item_item[rows, : rows.stop] = -block / diagonal[: rows.stop]
        item_item[: rows.stop, rows] = -block.T / diagonal[rows]
    np.fill_diagonal(item_item, 0)
    check_finite(item_item, "weights of items")
    return item_item


def _cut(item_item: Floats, n_neighbours: int) -> sp.csr_matrix:
    """Return the `n_neighbours` largest weights in size of each column, and ties of the last."""
    n_kept = min(n_neighbours, len(item_item))
    for first in range(0, len(item_item), _BLOCK_ITEMS):
        columns = item_item[:, first : first + _BLOCK_ITEMS]
        size = np.abs(columns)
        columns[size < np.partition(size, -n_kept, axis=0)[-n_kept]] = 0
    return sp.csr_matrix(item_item)


def _most_popular(n_users: Floats, max_items: int) -> Rows | None:
    if len(n_users) <= max_items:
        return None
    return np.sort(np.argsort(-n_users, kind="stable")[:max_items])
