"""Choices: which item each view is of, drawn by the world's probabilities without a full matrix.

A view draws a taste of its user, then an item of that taste: two searches in
cumulated shares, instead of a probability for each of 27,000 items.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.world.items import Floats, Rows
from benchmarks.simulator.world.truth import turned_share
from benchmarks.simulator.world.world import World

_ROUNDS: Final = 8  # of drawing again what a user has had; what is still double then is left out


class Chooser:
    """Draws items for views of a block of users."""

    def __init__(self, world: World) -> None:
        self._world = world
        appeal = world.appeal.T.astype(np.float64)
        self._taste_of, self._item_rows = np.nonzero(appeal)
        self._item_shares = _cumulated(appeal)[self._taste_of, self._item_rows] + self._taste_of
        self._first = np.searchsorted(self._taste_of, np.arange(len(appeal) + 1))
        self._common = np.cumsum(world.common_tastes)

    def choose(self, users: slice | Rows, owner: Rows, day: Rows, rng: np.random.Generator) -> Rows:
        """Return (n,) an item row for each view, -1 where none was found.

        Args:
            users: The block of rows in the world's users, or these rows themselves.
            owner: (n,) ascending, the user of each view, counted within `users`.
            day: (n,) of the history.
            rng: Of this block.
        """
        shares = _cumulated(self._world.users.tastes[users].astype(np.float64))
        shares += np.arange(len(shares))[:, None]
        turns = self._world.users.turns[users]
        item = self._draw(shares, turns, owner, day, rng)
        again = np.arange(len(owner))
        for _ in range(_ROUNDS):
            again, bad = self._wrong(owner, item, day, again)
            if not len(bad):
                return item
            item[bad] = self._draw(shares, turns, owner[bad], day[bad], rng)
        item[self._wrong(owner, item, day, again)[1]] = -1
        return item

    def _draw(
        self, shares: Floats, turns: npt.NDArray[np.int8], owner: Rows, day: Rows,
        rng: np.random.Generator,
    ) -> Rows:  # fmt: skip
        """Draw a taste, then an item of it, for each view."""
        n_tastes = shares.shape[1]
        taste = np.searchsorted(shares.ravel(), rng.random(len(owner)) + owner, side="right")
        taste = np.minimum(taste - n_tastes * owner, n_tastes - 1)
        how = rng.random(len(owner))
        keeps = 1 - self._world.wandering
        turned = keeps * turned_share(day)
        taste = np.where(how < turned, turns[owner], taste)
        wanders = np.flatnonzero(how >= keeps)
        taste[wanders] = np.searchsorted(self._common, rng.random(len(wanders)), side="right")
        place = np.searchsorted(self._item_shares, taste + rng.random(len(taste)), side="right")
        place = np.clip(place, self._first[taste], self._first[taste + 1] - 1)
        return self._item_rows[place]

    def _wrong(self, owner: Rows, item: Rows, day: Rows, among: Rows) -> tuple[Rows, Rows]:
        """Find views of what is not there yet, or what the same user has had already.

        Returns:
            All views of the users concerned, and of these the wrong ones.
        """
        key = owner[among] * len(self._world.items) + item[among]
        order = np.argsort(key, kind="stable")
        is_wrong = self._world.items.first_days[item[among]] > day[among]
        is_wrong[order[1:]] |= key[order[1:]] == key[order[:-1]]
        bad = among[is_wrong]
        return among[np.isin(owner[among], owner[bad])], bad


def _cumulated(shares: Floats) -> Floats:
    """Return each row's cumulated shares, the last exactly 1."""
    total = np.cumsum(shares, axis=1)
    return np.asarray(total / np.maximum(total[:, -1:], np.finfo(float).tiny))
