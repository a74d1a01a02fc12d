"""Current preferences of all users: the world's truth, changed by faults."""

import dataclasses
from typing import Final

import numpy as np

from batch.arrays import Doubles, Flags, Floats, Rows
from benchmarks.simulator.live.audience.fault_effects import FaultEffects, PreferenceShift
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.world.choices import Chooser
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.world import World

_MAX_REDRAWS: Final = 4  # of items that were watched already, or shown


class Preferences:
    """The users' preferences on a day, with the effects of faults.

    Args:
        world: World after its history, so that every item is in the catalogue.

    Attributes:
        truth: Truth of the world, with the current shift of preferences.
        day: Day of the world, after the history.
    """

    def __init__(self, world: World) -> None:
        self.day = world.n_days
        self._world = world
        self._appeal = world.appeal
        self._shift: PreferenceShift | None = None
        self._viral: Rows = np.empty(0, np.int64)
        self._extra: Doubles = np.empty(0)  # viral factors less 1
        self._set_truth(world)

    def follow(self, faults: FaultEffects, day: int) -> None:
        """Apply the effects of faults on a day."""
        self.day = day
        self._viral = np.array(list(faults.viral), np.int64)
        self._extra = np.array(list(faults.viral.values()), np.float64) - 1
        if faults.shift is not self._shift:
            self._shift = faults.shift
            self._set_truth(_shifted(self._world, self._shift) if self._shift else self._world)

    def chances(self, user_rows: Rows, item_rows: Rows) -> Floats:
        """Return (n, k) probabilities that an item is the next one that the user watches.

        Args:
            user_rows: (n,) rows of users.
            item_rows: (n, k) rows of items, -1 for no item.
        """
        shares = self.truth.taste_shares(user_rows, self.day)
        chances = np.einsum("ij,ikj->ik", shares, self._appeal[item_rows])
        if len(self._viral):
            more = np.zeros(len(self._appeal))
            more[self._viral] = self._extra
            chances = chances * (1 + more[item_rows]) / self._total(shares)[:, None]
        return np.asarray(np.where(item_rows >= 0, chances, 0), np.float32)

    def all_chances(self, user_rows: Rows) -> Floats:
        """Return (n, n_items) probabilities that an item is the user's next."""
        shares = self.truth.taste_shares(user_rows, self.day)
        chances = np.asarray(shares @ self._appeal.T)
        if len(self._viral):
            chances[:, self._viral] *= 1 + self._extra
            chances /= self._total(shares)[:, None]
        return chances

    def choose(self, user_rows: Rows, lists: Rows, seen: Seen, rng: np.random.Generator) -> Rows:
        """Draw something else for each user than the list that was shown.

        Args:
            user_rows: (n,) rows of users.
            lists: (n, k) item rows that were shown and not taken.
            seen: Items that users have watched.
            rng: Random generator of these draws.

        Returns:
            (n,) item rows, -1 where all draws were watched before or shown now.
        """

        def is_excluded(item: Rows) -> Flags:
            is_shown = (lists == item[:, None]).any(axis=1)
            return np.asarray(is_shown | seen.has(user_rows, item))

        item = self._draw(user_rows, rng)
        for _ in range(_MAX_REDRAWS):
            again = np.flatnonzero(is_excluded(item))
            if not len(again):
                return item
            item[again] = self._draw(user_rows[again], rng)
        return np.where(is_excluded(item), -1, item)

    def _draw(self, user_rows: Rows, rng: np.random.Generator) -> Rows:
        owner = np.arange(len(user_rows))
        day = np.full(len(user_rows), self.day)
        item = self._chooser.choose(user_rows, owner, day, rng)
        if len(self._viral) and len(user_rows):
            shares = self.truth.taste_shares(user_rows, self.day)
            extra = self._extra * (shares @ self._appeal[self._viral].T)
            which = rng.random(len(item))[:, None] * self._total(shares)[:, None]
            position = (np.cumsum(extra, axis=1) <= which).sum(axis=1)
            is_viral = position < len(self._viral)
            item[is_viral] = self._viral[position[is_viral]]
        return item

    def _total(self, shares: Floats) -> Doubles:
        """Return (n,) the sum of all unscaled probabilities of each user, viral items included."""
        return np.asarray(1 + (shares @ self._appeal[self._viral].T) @ self._extra)

    def _set_truth(self, world: World) -> None:
        self.truth = Truth(world)
        first_row = np.zeros(1, np.int64)
        self.truth.liking(first_row, first_row, self.day)  # calibrates it now
        self._chooser = Chooser(world)


def _shifted(world: World, shift: PreferenceShift) -> World:
    tastes = world.users.tastes.copy()
    who = np.flatnonzero(shift.users)
    tastes[who] = 0
    tastes[who, shift.taste] = 1
    return dataclasses.replace(world, users=dataclasses.replace(world.users, tastes=tastes))
