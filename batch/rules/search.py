"""The candidates: the exact best items of each user, of those that this user may be offered."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from batch.arrays import Flags, Rows
from batch.models.protocol import Fitted
from batch.topk import NO_ITEM, TopK


def _unheard(_: int) -> None:
    """Hear of progress and do nothing."""


@dataclass(frozen=True, slots=True)
class Search:
    """A fitted model with all that is hidden from whom.

    Attributes:
        fitted: What answers.
        hidden: (n_items,) from everybody.
        adult: (n_items,) from minors.
        minors: (n_users,).
        n_threads: 0 means all processors.
    """

    fitted: Fitted
    hidden: Flags
    adult: Flags
    minors: Flags
    n_threads: int

    def __call__(
        self,
        k: int,
        user_rows: Rows | None = None,
        *,
        besides: Collection[int] = (),
        on_users: Callable[[int], object] = _unheard,
    ) -> TopK:
        """Return the k best of each user, best first.

        Without minors or adult titles among them, this is the model's own answer.

        Args:
            k: At least 1.
            user_rows: None means all.
            besides: Item rows that are hidden from these users too.
            on_users: Called with the number of users done, from several threads.
        """
        hidden = self.hidden.copy()
        hidden[list(besides)] = True
        minors = self.minors if user_rows is None else self.minors[user_rows]
        for_minors = hidden | self.adult
        if not minors.any() or (for_minors == hidden).all():
            return self._best(k, user_rows, hidden, on_users)
        if minors.all():
            return self._best(k, user_rows, for_minors, on_users)
        lists = self._best(k, user_rows, hidden, on_users)
        places = np.flatnonzero(minors)
        theirs = places if user_rows is None else user_rows[places]
        of_minors = self._best(k, theirs, for_minors, _unheard)
        lists.item_rows[places], lists.scores[places] = of_minors
        return lists

    def _best(
        self, k: int, user_rows: Rows | None, hidden: Flags, on_users: Callable[[int], object]
    ) -> TopK:
        if hidden.all():
            shape = (len(self.minors) if user_rows is None else len(user_rows), k)
            return TopK(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
        return self.fitted.top_k(
            k,
            user_rows=user_rows,
            hidden=frozenset(np.flatnonzero(hidden).tolist()),
            n_threads=self.n_threads,
            on_users=on_users,
        )
