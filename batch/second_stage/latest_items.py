"""Neighbours of a user's latest items.

    latest items · similarity of items  ─►  scores above 0, a few hundred for each user
        ─►  keys of user, score and item in one integer  ─►  sorted  ─►  the first of each user

What was watched last matters in a stream, and so few items have so few neighbours that one
sort of them all takes less time than a search.
"""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags, Rows
from batch.evaluation.metrics import hits_of
from batch.progress import noop
from batch.rules.lists import reordered
from batch.second_stage.past import Past
from batch.threads import usable
from batch.topk import NO_ITEM, TopK

_BLOCK_USERS: Final = 256
_ITEM_BITS: Final = 24  # of a key, above them 31 of the score and 8 of the user
_SCORE_BITS: Final = 31
_MAX_SCORE: Final = (1 << _SCORE_BITS) - 1
_ITEM_MASK: Final = (1 << _ITEM_BITS) - 1


@dataclass(frozen=True, slots=True)
class LatestItems:
    """Ranks the neighbours of the latest items of a user.

    Attributes:
        similarity: (n_items, n_items), a row the neighbours of one item; below 16 million items.
        past: Interactions of the users.
        n_latest: Number of a user's items whose neighbours count.
    """

    similarity: sp.csr_matrix
    past: Past
    n_latest: int

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Return fewer than k items where not enough are neighbours; see `Ranker.top_k`."""
        past = self.past if user_rows is None else self.past.of_users(user_rows)
        latest = past.latest(self.n_latest)
        is_open = np.ones(self.similarity.shape[1], np.bool_)
        is_open[list(hidden)] = False

        def best(first: int) -> TopK:
            block = slice(first, first + _BLOCK_USERS)
            seen = past.weights[block]
            # Seen items are among the best, and no more of them than the user has.
            n_best = k + int(np.diff(seen.indptr).max())
            lists = _best(latest[block] @ self.similarity, is_open, n_best)
            on_users(len(lists.item_rows))
            return _unseen(lists, seen, k)

        with ThreadPoolExecutor(usable(n_threads)) as pool:
            parts = list(pool.map(best, range(0, latest.shape[0], _BLOCK_USERS)))
        return TopK(
            np.concatenate([np.empty((0, k), np.int32), *(part.item_rows for part in parts)]),
            np.concatenate([np.empty((0, k), np.float32), *(part.scores for part in parts)]),
        )


def _best(scores: sp.csr_matrix, is_open: Flags, k: int) -> TopK:
    """Return the k best open items of each of at most 256 users with a score above 0."""
    n_users = scores.shape[0]
    kept = np.flatnonzero(is_open[scores.indices] & (scores.data > 0))
    user = np.repeat(np.arange(n_users), np.diff(scores.indptr))[kept]
    # The bits of floats above 0 are in the order of the floats.
    falling = _MAX_SCORE - scores.data[kept].view(np.int32).astype(np.int64)
    key = (user << (_SCORE_BITS + _ITEM_BITS)) | (falling << _ITEM_BITS) | scores.indices[kept]
    key.sort()
    first = np.concatenate(([0], np.cumsum(np.bincount(user, minlength=n_users))))
    places = first[:-1, None] + np.arange(k)
    is_item = places < first[1:, None]
    found = key[np.where(is_item, places, 0)] if len(key) else np.zeros(places.shape, np.int64)
    bits = _MAX_SCORE - ((found >> _ITEM_BITS) & _MAX_SCORE)
    score = bits.astype(np.int32).view(np.float32)
    return TopK(
        np.where(is_item, found & _ITEM_MASK, NO_ITEM).astype(np.int32),
        np.where(is_item, score, -np.inf).astype(np.float32),
    )


def _unseen(lists: TopK, seen: sp.csr_matrix, k: int) -> TopK:
    """Return the first k items of each list that the user does not have."""
    is_new = (lists.item_rows != NO_ITEM) & ~hits_of(lists.item_rows, seen)
    order = np.argsort(~is_new, axis=1, kind="stable")[:, :k]
    item_rows = np.where(is_new, lists.item_rows, NO_ITEM).astype(np.int32)
    return reordered(TopK(item_rows, np.where(is_new, lists.scores, -np.inf)), order)
