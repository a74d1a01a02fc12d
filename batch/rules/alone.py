"""Lists of a few users, by the rules that look at one user alone.

    candidates ─► reordered ─► without items that are full, unless the user has them ─► kept

The cap looks at all lists together: here an item that stood at its cap is added to no list
that does not hold it already. Exploration is left out: it has one draw a snapshot and user.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from batch.arrays import Flags, Floats, ItemRows
from batch.models.fill import filled
from batch.models.protocol import Ranker
from batch.rules.cap import closed_up
from batch.rules.lists import lengths
from batch.rules.pipeline import steps
from batch.rules.rules import Rules, reordered_in_blocks
from batch.rules.search import Search
from batch.topk import NO_ITEM, TopK
from store.layout import LIST_LENGTH


@dataclass(frozen=True, slots=True)
class FullItems:
    """Items that are in as many lists as the cap allows.

    Attributes:
        is_full: (n_items,) whether an item stood at its cap.
        held: (n_users, n) item rows of each user's list, NO_ITEM where it is shorter.
    """

    is_full: Flags
    held: ItemRows

    def without(self, lists: TopK, n_kept: int) -> TopK:
        """Return the first n_kept items of each list that the user may have."""
        rows = lists.item_rows
        is_held = (rows[:, :, None] == self.held[:, None, :]).any(axis=2)
        is_left = (rows != NO_ITEM) & (is_held | ~self.is_full[rows])
        return closed_up(lists, is_left, n_kept)


@dataclass(frozen=True, slots=True)
class SingleUserRules:
    """The rules that look at one user alone.

    Attributes:
        rules: Rules for no users, whose cap and exploration are not used.
        item_factors: (n_items, n_factors) factors, for similarity by factors.
        n_kept: Number of items kept for each user, spares included.
        n_threads: Number of threads; 0 means all processors.
    """

    rules: Rules
    item_factors: Floats
    n_kept: int
    n_threads: int = 1

    def lists(
        self,
        ranker: Ranker,
        minors: Flags,
        *,
        hidden: Collection[int] = (),
        full: FullItems | None = None,
    ) -> TopK:
        """Return the list of each user, and the spares behind it.

        Args:
            ranker: Model with these users.
            minors: (n_users,) whether adult titles are hidden from a user.
            hidden: Further item rows that are hidden from all users.
            full: Items that stood at their cap; None without a cap.
        """
        settings = replace(self.rules.settings, cap=1.0, explore=0)
        rules = replace(self.rules, settings=settings, minors=minors)
        if full is None:
            return rules.lists(
                ranker, self.item_factors, self.n_kept, hidden=hidden, n_threads=self.n_threads
            )
        all_hidden = rules.hidden.copy()
        all_hidden[list(hidden)] = True
        search = Search(ranker, all_hidden, rules.adult, minors, self.n_threads)
        reorder = steps(settings, rules.context, rules.boost, self.item_factors, self.n_kept)
        candidates = search(max(settings.candidates, self.n_kept))
        candidates = reordered_in_blocks(candidates, reorder, 0, self.n_threads)
        lists = full.without(candidates, self.n_kept)
        short = np.flatnonzero(lengths(lists) < LIST_LENGTH)
        if len(short):  # as under the cap of the batch: a second search, among items with room
            full_rows = np.flatnonzero(full.is_full)
            more = search(self.n_kept + LIST_LENGTH, short, also_hidden=full_rows)
            own = TopK(lists.item_rows[short], lists.scores[short])
            lists.item_rows[short], lists.scores[short] = filled(own, more)
        return lists
