"""The candidates: the exact best items of each user, without those hidden from that user."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from batch.arrays import Flags, Rows
from batch.models.protocol import Ranker
from batch.progress import noop
from batch.topk import NO_ITEM, TopK


@dataclass(frozen=True, slots=True)
class Search:
    """A ranker, and the items that are hidden from its users.

    Attributes:
        ranker: Fitted model, or the second stage on top of one.
        hidden: (n_items,) whether an item is hidden from all users.
        adult: (n_items,) whether an item is hidden from minors.
        minors: (n_users,) whether a user is a minor.
        n_threads: Number of threads; 0 means all processors.
    """

    ranker: Ranker
    hidden: Flags
    adult: Flags
    minors: Flags
    n_threads: int

    def __call__(
        self,
        k: int,
        user_rows: Rows | None = None,
        *,
        also_hidden: Collection[int] = (),
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Return the k best items of each user, best first.

        Without minors or adult titles this is a single search of the model.

        Args:
            k: Number of items, at least 1.
            user_rows: Rows of the users; None means all.
            also_hidden: Further item rows that are hidden from these users.
            on_users: Callback with the number of users done, from several threads.
        """
        hidden = self.hidden.copy()
        hidden[list(also_hidden)] = True
        minors = self.minors if user_rows is None else self.minors[user_rows]
        for_minors = hidden | self.adult
        if not minors.any() or (for_minors == hidden).all():
            return self._best(k, user_rows, hidden, on_users)
        if minors.all():
            return self._best(k, user_rows, for_minors, on_users)
        lists = self._best(k, user_rows, hidden, on_users)
        places = np.flatnonzero(minors)
        minor_rows = places if user_rows is None else user_rows[places]
        minor_lists = self._best(k, minor_rows, for_minors, noop)
        lists.item_rows[places], lists.scores[places] = minor_lists
        return lists

    def _best(
        self, k: int, user_rows: Rows | None, hidden: Flags, on_users: Callable[[int], object]
    ) -> TopK:
        if hidden.all():
            shape = (len(self.minors) if user_rows is None else len(user_rows), k)
            return TopK(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
        return self.ranker.top_k(
            k,
            user_rows=user_rows,
            hidden=frozenset(np.flatnonzero(hidden).tolist()),
            n_threads=self.n_threads,
            on_users=on_users,
        )
