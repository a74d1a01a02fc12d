"""Choices: the item of each view, drawn by the world's probabilities without a full matrix.

A view draws a taste of its user, then an item of that taste: two searches in
cumulative shares, instead of a probability for each of 27,000 items.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from batch.arrays import Doubles, Rows
from benchmarks.simulator.world.truth import turned_share
from benchmarks.simulator.world.world import World

_MAX_REDRAWS: Final = 8  # of items that a user has watched; views still repeated are left out


class Chooser:
    """Draws items for views of a block of users."""

    def __init__(self, world: World) -> None:
        self._world = world
        appeal = world.appeal.T.astype(np.float64)
        self._item_tastes, self._item_rows = np.nonzero(appeal)
        self._item_shares = (
            _cumulative_shares(appeal)[self._item_tastes, self._item_rows] + self._item_tastes
        )
        self._first = np.searchsorted(self._item_tastes, np.arange(len(appeal) + 1))
        self._common = np.cumsum(world.common_tastes)

    def choose(self, users: slice | Rows, owner: Rows, day: Rows, rng: np.random.Generator) -> Rows:
        """Return (n,) an item row for each view, -1 where none was found.

        Args:
            users: Rows of the users of the block, as a slice or an array.
            owner: (n,) the user of each view, ascending positions within `users`.
            day: (n,) day of the history of each view.
            rng: Random generator of the block.
        """
        shares = _cumulative_shares(self._world.users.tastes[users].astype(np.float64))
        shares += np.arange(len(shares))[:, None]
        turns = self._world.users.turns[users]
        item = self._draw(shares, turns, owner, day, rng)
        again = np.arange(len(owner))
        for _ in range(_MAX_REDRAWS):
            again, bad = self._invalid(owner, item, day, again)
            if not len(bad):
                return item
            item[bad] = self._draw(shares, turns, owner[bad], day[bad], rng)
        item[self._invalid(owner, item, day, again)[1]] = -1
        return item

    def _draw(
        self, shares: Doubles, turns: npt.NDArray[np.int8], owner: Rows, day: Rows,
        rng: np.random.Generator,
    ) -> Rows:  # fmt: skip
        """Draw a taste, then an item of it, for each view."""
        n_tastes = shares.shape[1]
        taste = np.searchsorted(shares.ravel(), rng.random(len(owner)) + owner, side="right")
        taste = np.minimum(taste - n_tastes * owner, n_tastes - 1)
        cause = rng.random(len(owner))  # of each view: drifted taste, own taste, or no taste
        taste_share = 1 - self._world.random_share
        turned = taste_share * turned_share(day)
        taste = np.where(cause < turned, turns[owner], taste)
        is_random = np.flatnonzero(cause >= taste_share)
        taste[is_random] = np.searchsorted(self._common, rng.random(len(is_random)), side="right")
        place = np.searchsorted(self._item_shares, taste + rng.random(len(taste)), side="right")
        place = np.clip(place, self._first[taste], self._first[taste + 1] - 1)
        return self._item_rows[place]

    def _invalid(self, owner: Rows, item: Rows, day: Rows, among: Rows) -> tuple[Rows, Rows]:
        """Find views of items that are not in the catalogue yet, or that the user has watched.

        Returns:
            Rows of all views of the users concerned, and rows of the invalid views.
        """
        key = owner[among] * len(self._world.items) + item[among]
        order = np.argsort(key, kind="stable")
        is_invalid = self._world.items.first_days[item[among]] > day[among]
        is_invalid[order[1:]] |= key[order[1:]] == key[order[:-1]]
        bad = among[is_invalid]
        return among[np.isin(owner[among], owner[bad])], bad


def _cumulative_shares(shares: Doubles) -> Doubles:
    """Return each row's cumulative shares, the last exactly 1."""
    total = np.cumsum(shares, axis=1)
    return np.asarray(total / np.maximum(total[:, -1:], np.finfo(float).tiny))
