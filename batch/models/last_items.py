"""Last items: what users watched soon after, or before, the items that a user watched last.

    a user's views in order    A    B    C    D
    follows A by               -    1    decay    decay²     … up to `window` views later
    precedes D by              half of that: decay²/2    decay/2    1/2    -

    similarity(A, B)   Σ over users: how closely B follows or precedes A
                       / (√(users of A · users of B) + shrinkage)
    score(user, item)  Σ over the user's items: weight · decay^(items watched after it)
                       · similarity(the user's item, item)

Only the n_neighbours most similar items of each count; popular items fill the lists.

Items watched at the same time, or at unknown times, have no order: theirs is random, a pair
counts ¾ both ways, and none of them is after another. So without times this is a plain
co-occurrence, of a random sample of the pairs of users with many items, and all of a user's
items count alike.

Source:
    Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", User
    Modeling and User-Adapted Interaction 28 (2018), section 3.1: sequential rules. Theirs
    are not normalised, fall with 1/distance, and score by the last item alone.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Codes, Rows, Times
from batch.interactions.counting_sort import counting_sort
from batch.models.finite import check_finite
from batch.models.item_item import FittedItemItem, as_given
from batch.models.nearest import largest
from batch.models.popularity import Popularity
from batch.models.protocol import TrainedAnew
from batch.models.view_order import ViewOrder, blocks, order_views
from batch.progress import noop
from batch.threads import usable

_BACKWARD: Final = 0.5  # closeness of an item that precedes, beside one that follows
_BLOCK_PAIRS: Final = 1 << 20  # pairs counted at a time, which limits memory
_BLOCK_ITEMS: Final = 512  # items whose neighbours are found at a time


@dataclass(frozen=True, slots=True)
class Decayed:
    """Weights of users' items that fall with the number of items watched after.

    Attributes:
        decay: Share that remains of a weight with each item watched after.
    """

    decay: float

    def __call__(self, weights: sp.csr_matrix) -> sp.csr_matrix:
        """Return the weights as they are given, decayed or of unknown order."""
        return as_given(weights)

    def by_place(self, weights: sp.csr_matrix, n_later: Codes) -> sp.csr_matrix:
        """Return weights that have fallen with the (n_interactions,) numbers of later items."""
        data = np.power(np.float32(self.decay), n_later, dtype=np.float32)
        data *= weights.data
        return sp.csr_matrix((data, weights.indices, weights.indptr), shape=weights.shape)


@dataclass(frozen=True, slots=True)
class LastItems(TrainedAnew):
    """Neighbours of items in the order of views, weighted by their place in the user's.

    Attributes:
        window: Maximum distance of two views of a user that are a pair.
        decay: Share that remains of a weight with each view in between or after, 0 to 1.
        shrinkage: Users added to the denominator, against pairs of rare items.
        n_neighbours: Neighbours kept for each item.
        seed: Random seed of the order of views at the same time.
    """

    window: int = 10
    decay: float = 0.85
    shrinkage: float = 50.0
    n_neighbours: int = 100
    seed: int = 42

    name = "last_items"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> FittedItemItem:
        """Count pairs of views; see `Recommender.fit`.

        `fold_in` of the fitted model counts the users' items by the weights that it is given:
        by those of `history` where times are known, else all alike.
        """
        check_finite(weights.data, "weights of the interactions")
        n_threads = usable(n_threads)
        views = order_views(weights, at, self.seed, n_threads)
        similarity = self._similarity(views, weights.shape, n_threads)
        on_step()
        history = self._decayed(weights, views)
        return FittedItemItem(history, similarity, Popularity().fit(weights), Decayed(self.decay))

    def history(self, weights: sp.csr_matrix, at: Times) -> sp.csr_matrix:
        """Return weights that fall with the number of items that the user watched after.

        Args:
            weights: (n_users, n_items) weights of users to fold in; not modified.
            at: (n_interactions,) times beside `weights.data`.
        """
        return self._decayed(weights, order_views(weights, at, self.seed, n_threads=1))

    def _decayed(self, weights: sp.csr_matrix, views: ViewOrder) -> sp.csr_matrix:
        return Decayed(self.decay).by_place(weights, views.n_later)

    def _similarity(
        self, views: ViewOrder, shape: tuple[int, int], n_threads: int
    ) -> sp.csr_matrix:
        """Return (n_items, n_items), in each row the neighbours of an item."""
        n_users, n_items = shape
        by_item = counting_sort(views.item, views.user, (n_items, n_users))
        users_of = np.diff(by_item.indptr).astype(np.float32)
        size = max(_BLOCK_PAIRS // self.window, 1)

        def neighbours(bounds: tuple[int, int]) -> sp.csr_matrix:
            rows = slice(*bounds)
            starts = by_item.indptr[bounds[0] : bounds[1] + 1]
            total = _empty((len(starts) - 1, n_items))
            for begin in range(starts[0], starts[-1], size):
                positions = by_item.data[begin : min(begin + size, starts[-1])]
                pairs = self._pairs(views, positions, n_items, np.clip(starts - begin, 0, size))
                total = total + pairs
            scale = np.repeat(users_of[rows], np.diff(total.indptr)) * users_of[total.indices]
            total.data /= np.sqrt(scale) + np.float32(self.shrinkage)
            return largest(total.toarray(), self.n_neighbours)

        with ThreadPoolExecutor(n_threads) as pool:
            parts = list(pool.map(neighbours, blocks(by_item.indptr, size, _BLOCK_ITEMS)))
        return sp.csr_matrix(sp.vstack(parts, "csr"))

    def _pairs(
        self, views: ViewOrder, positions: Rows, n_items: int, starts: Rows
    ) -> sp.csr_matrix:
        """Return (n_rows, n_items) sums of the closeness of views near to these.

        Args:
            views: All views in order.
            positions: (n,) positions of views, those of one row side by side.
            n_items: Number of items.
            starts: (n_rows + 1,) number of positions before each row.
        """
        steps = np.delete(np.arange(-self.window, self.window + 1), self.window)  # without 0
        near, user = positions[:, None] + steps, views.user[positions]
        is_pair = near >= views.starts[user, None]
        is_pair &= near < views.starts[user + 1, None]
        near *= is_pair  # any valid position
        order = np.where(steps > 0, np.float32(1), np.float32(_BACKWARD))
        is_tie = views.moment[near] == views.moment[positions, None]
        closeness = np.where(is_tie, np.float32(0.5 + 0.5 * _BACKWARD), order)
        closeness *= np.float32(self.decay) ** (np.abs(steps) - 1).astype(np.float32)
        pairs_before = np.concatenate(([0], np.cumsum(is_pair.sum(axis=1))))
        pairs = sp.csr_matrix(
            (closeness[is_pair], views.item[near[is_pair]], pairs_before[starts]),
            shape=(len(starts) - 1, n_items),
        )
        return pairs @ sp.identity(n_items, np.float32, "csr")  # sums entries of one cell


def _empty(shape: tuple[int, int]) -> sp.csr_matrix:
    nothing = np.zeros(0, np.int32)
    return sp.csr_matrix((nothing.astype(np.float32), (nothing, nothing)), shape=shape)
