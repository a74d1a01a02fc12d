"""Lists of a few users, by the rules that look at one user alone.

    candidates ─► reordered ─► without items that are full, unless the user has them ─► kept

The cap looks at all lists together: here an item that stood at its cap is added to no list
that does not hold it already. Exploration is left out: it has one draw a snapshot and user.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from batch.arrays import Flags, Floats, ItemRows
from batch.models.fill import filled
from batch.models.protocol import Ranker
from batch.rules.cap import closed_up
from batch.rules.lists import lengths
from batch.rules.pipeline import Step, steps
from batch.rules.rules import Rules, reordered_in_blocks
from batch.rules.search import Search
from batch.rules.settings import RuleSettings
from batch.topk import NO_ITEM, TopK
from store.layout import LIST_LENGTH

# Keys of `SingleUserRules.orders` beside the rules that reorder.
MODEL: Final = "model"
HIDDEN: Final = "hidden"
CAP: Final = "cap"


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
        if full is None:
            rules = replace(self.rules, settings=self._settings, minors=minors)
            return rules.lists(
                ranker, self.item_factors, self.n_kept, hidden=hidden, n_threads=self.n_threads
            )
        search = self._search(ranker, minors, hidden)
        candidates = search(self._n_candidates)
        candidates = reordered_in_blocks(candidates, self._steps(), 0, self.n_threads)
        lists = full.without(candidates, self.n_kept)
        short = np.flatnonzero(lengths(lists) < LIST_LENGTH)
        if len(short):  # as under the cap of the batch: a second search, among items with room
            full_rows = np.flatnonzero(full.is_full)
            more = search(self.n_kept + LIST_LENGTH, short, also_hidden=full_rows)
            own = TopK(lists.item_rows[short], lists.scores[short])
            lists.item_rows[short], lists.scores[short] = filled(own, more)
        return lists

    def orders(
        self,
        ranker: Ranker,
        minors: Flags,
        *,
        hidden: Collection[int] = (),
        full: FullItems | None = None,
    ) -> dict[str, TopK]:
        """Return the candidates as they are after each rule that acts, by its name, in order.

        The first, `MODEL`, are all unseen items in the model's order, with its scores; the second,
        `HIDDEN`, those that may be shown. A second search under the cap is left out.

        Args:
            ranker: Model with these users.
            minors: (n_users,) whether adult titles are hidden from a user.
            hidden: Further item rows that are hidden from all users.
            full: Items that stood at their cap; None without a cap.
        """
        found = {MODEL: ranker.top_k(len(self.rules.hidden), n_threads=self.n_threads)}
        candidates = self._search(ranker, minors, hidden)(self._n_candidates)
        found[HIDDEN] = candidates
        for n, step in enumerate(rules := self._steps(), 1):
            copy = TopK(candidates.item_rows.copy(), candidates.scores.copy())
            found[step.rule] = reordered_in_blocks(copy, rules[:n], 0, self.n_threads)
        if full is not None:
            last = found[next(reversed(found))]
            found[CAP] = full.without(last, self.n_kept)
        return found

    @property
    def _settings(self) -> RuleSettings:
        return replace(self.rules.settings, cap=1.0, explore=0)

    @property
    def _n_candidates(self) -> int:
        return max(self.rules.settings.candidates, self.n_kept)

    def _steps(self) -> tuple[Step, ...]:
        rules = self.rules
        return steps(self._settings, rules.context, rules.boost, self.item_factors, self.n_kept)

    def _search(self, ranker: Ranker, minors: Flags, hidden: Collection[int]) -> Search:
        all_hidden = self.rules.hidden.copy()
        all_hidden[list(hidden)] = True
        return Search(ranker, all_hidden, self.rules.adult, minors, self.n_threads)
