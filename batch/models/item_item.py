"""A fitted item–item model: a user's items times a matrix of items, and its exact top-k.

    scores of a user  =  history  ·  item_item   +   (history · left) · rightᵀ
                      (1 × n_items)  (sparse or dense)   (optional, of low rank)

A list holds the unseen items with a score above 0, best first. A list that these do not
fill is filled with the most popular items.

    block of users ─► sparse product ─► dense scores ─► seen and hidden at 0 ─► top-k

No score depends on the users beside its own, not even in the last bit: products of sparse
rows are sums in the order of the items, those of low rank are made user by user.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyArray, Floats, Rows
from batch.models.dense_topk import LOWEST_ABOVE_ZERO, best_of
from batch.models.factors import FittedFactors
from batch.models.fill import filled
from batch.progress import noop
from batch.threads import one_blas_thread, usable
from batch.topk import NO_ITEM, TopK

_BLOCK_SCORES: Final = 1 << 20  # scores held at a time by a thread: 4 MiB
_BLOCK_ITEMS: Final = 4096  # of low rank, which the processor's cache holds
_CSR: Final = ("data", "indices", "indptr")  # arrays of a sparse matrix


class LowRank(NamedTuple):
    """An item–item matrix of low rank, left · rightᵀ.

    Attributes:
        left: (n_items, rank), for the items of a user.
        right: (n_items, rank), for the items to score.
    """

    left: Floats
    right: Floats

    def add(self, scores: Floats, history: sp.csr_matrix) -> None:
        """Add the scores of users with this history, in place.

        Each product is one user's: the last bits of a product of matrices depend on its shape.
        """
        users = history @ self.left
        for first in range(0, len(self.right), _BLOCK_ITEMS):
            items = slice(first, first + _BLOCK_ITEMS)
            scores[:, items] += np.matmul(self.right[items], users[:, :, None])[:, :, 0]


def ones(weights: sp.csr_matrix) -> sp.csr_matrix:
    """Return a matrix with 1 where the user has the item; it shares the positions."""
    entries = (np.ones(weights.nnz, np.float32), weights.indices, weights.indptr)
    return sp.csr_matrix(entries, shape=weights.shape)


def as_given(weights: sp.csr_matrix) -> sp.csr_matrix:
    """Return the weights in single precision; it shares the positions."""
    return sp.csr_matrix(weights, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class FittedItemItem:
    """Item–item weights, and the items of each user.

    Attributes:
        history: (n_users, n_items) users' items as the model weighs them.
        item_item: Weights of items, a row for each item that a user may have: sparse or
            dense (n_items, n_items), or dense over `item_rows` alone.
        popular: Popularity, which fills short lists.
        weigh: Function from users' weights to their `history`, for `fold_in`.
        low_rank: Second item–item matrix, added to the first; None: none.
        item_rows: Ascending rows of the items that `item_item` has; None: all. The others
            have a score of 0.
        about: Figures found in training, by name.
    """

    history: sp.csr_matrix
    item_item: sp.csr_matrix | Floats
    popular: FittedFactors
    weigh: Callable[[sp.csr_matrix], sp.csr_matrix] = ones
    low_rank: LowRank | None = None
    item_rows: Rows | None = None
    about: Mapping[str, float] = field(default_factory=dict)

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """The item–item weights, the users' items and the popularity."""
        arrays: dict[str, AnyArray] = {"item_factors": self.popular.item_factors}
        if isinstance(self.item_item, np.ndarray):
            arrays["item_item"] = self.item_item
        else:
            arrays |= {f"item_item_{part}": getattr(self.item_item, part) for part in _CSR}
        if self.item_rows is not None:
            arrays["item_rows"] = self.item_rows
        if self.low_rank is not None:
            arrays |= self.low_rank._asdict()
        return arrays | {f"history_{part}": getattr(self.history, part) for part in _CSR}

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Score block by block, and fill short lists; see `Fitted.top_k`."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        rows = np.arange(self.history.shape[0]) if user_rows is None else user_rows
        n_block = max(1, _BLOCK_SCORES // max(1, self.history.shape[1]))
        lists = TopK(
            np.full((len(rows), k), NO_ITEM, np.int32), np.full((len(rows), k), -np.inf, np.float32)
        )
        hidden_rows = np.array(sorted(hidden), np.int64)

        def rank(first: int) -> None:
            block = slice(first, first + n_block)
            history = self.history[rows[block]]
            scores = self._scores(history)
            scores[np.repeat(np.arange(len(scores)), np.diff(history.indptr)), history.indices] = 0
            scores[:, hidden_rows] = 0
            lists.item_rows[block], lists.scores[block] = best_of(scores, k, LOWEST_ABOVE_ZERO)
            on_users(len(scores))

        if len(rows) <= n_block:  # in this thread: one user takes less time than a pool
            n_threads = 1
        with one_blas_thread():
            _for_each(rank, range(0, len(rows), n_block), n_threads)
        self._fill(lists, rows, hidden, n_threads)
        return lists

    def scores(self, user_rows: Rows) -> Floats:
        """Multiply the users' items with the item–item weights; see `Fitted.scores`."""
        return self._scores(self.history[user_rows])

    def fold_in(self, weights: sp.csr_matrix) -> "FittedItemItem":
        """Return the same item–item weights for these users."""
        return replace(self, history=self.weigh(weights), popular=self.popular.fold_in(weights))

    def _scores(self, history: sp.csr_matrix) -> Floats:
        known = history if self.item_rows is None else history[:, self.item_rows]
        product = known @ self.item_item
        scores: Floats = product if isinstance(product, np.ndarray) else product.toarray()
        if self.item_rows is not None:
            part, scores = scores, np.zeros(history.shape, np.float32)
            scores[:, self.item_rows] = part
        if self.low_rank is not None:
            self.low_rank.add(scores, history)
        return scores

    def _fill(self, lists: TopK, rows: Rows, hidden: Collection[int], n_threads: int) -> None:
        """Fill the empty places of `lists`, in place."""
        short = np.flatnonzero(lists.item_rows[:, -1] == NO_ITEM)
        if not len(short):
            return
        k = lists.item_rows.shape[1]
        popular = self.popular.top_k(k, user_rows=rows[short], hidden=hidden, n_threads=n_threads)
        own = TopK(lists.item_rows[short], lists.scores[short])
        lists.item_rows[short], lists.scores[short] = filled(own, popular)


def _for_each(action: Callable[[int], object], values: range, n_threads: int) -> None:
    n_used = usable(n_threads)
    if n_used == 1:
        for value in values:
            action(value)
        return
    with ThreadPoolExecutor(n_used) as pool:
        list(pool.map(action, values))
