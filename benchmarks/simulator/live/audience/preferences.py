"""What every user wants at this moment: the world's truth, and trouble that has changed it."""

import dataclasses
from typing import Final

import numpy as np

from benchmarks.simulator.live.audience.fault_effects import Disturbance, Shift
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.world.choices import Chooser
from benchmarks.simulator.world.items import Floats, Floats32, Rows
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.world import World

_ROUNDS: Final = 4  # of choosing again what has been watched already


class Wants:
    """The users' wants, by the day and under disturbance.

    Args:
        world: Its history is over: every item is there.

    Attributes:
        truth: As the disturbance has left it.
        day: Of the world, behind the history.
    """

    def __init__(self, world: World) -> None:
        self.day = world.n_days
        self._world = world
        self._appeal = world.appeal
        self._shift: Shift | None = None
        self._viral: Rows = np.empty(0, np.int64)
        self._more: Floats = np.empty(0)
        self._set_truth(world)

    def follow(self, disturbance: Disturbance, day: int) -> None:
        """Take on what has changed."""
        self.day = day
        self._viral = np.array(list(disturbance.viral), np.int64)
        self._more = np.array(list(disturbance.viral.values()), np.float64) - 1
        if disturbance.shift is not self._shift:
            self._shift = disturbance.shift
            self._set_truth(_shifted(self._world, self._shift) if self._shift else self._world)

    def chances(self, user_rows: Rows, item_rows: Rows) -> Floats32:
        """Return (n, k) chances that an item would be what the user watches next.

        Args:
            user_rows: (n,)
            item_rows: (n, k), -1 for none.
        """
        shares = self.truth.taste_shares(user_rows, self.day)
        chances = np.einsum("ij,ikj->ik", shares, self._appeal[item_rows])
        if len(self._viral):
            more = np.zeros(len(self._appeal))
            more[self._viral] = self._more
            chances = chances * (1 + more[item_rows]) / self._total(shares)[:, None]
        return np.asarray(np.where(item_rows >= 0, chances, 0), np.float32)

    def all_chances(self, user_rows: Rows) -> Floats32:
        """Return (n, n_items) chances."""
        shares = self.truth.taste_shares(user_rows, self.day)
        chances = np.asarray(shares @ self._appeal.T)
        if len(self._viral):
            chances[:, self._viral] *= 1 + self._more
            chances /= self._total(shares)[:, None]
        return chances

    def choose(self, user_rows: Rows, seen: Seen, rng: np.random.Generator) -> Rows:
        """Draw what each of some users watches without any list; -1 where all is known already."""
        item = self._draw(user_rows, rng)
        for _ in range(_ROUNDS):
            again = np.flatnonzero(seen.has(user_rows, item))
            if not len(again):
                return item
            item[again] = self._draw(user_rows[again], rng)
        return np.where(seen.has(user_rows, item), -1, item)

    def _draw(self, user_rows: Rows, rng: np.random.Generator) -> Rows:
        one_each = np.arange(len(user_rows))
        day = np.full(len(user_rows), self.day)
        item = self._chooser.choose(user_rows, one_each, day, rng)
        if len(self._viral) and len(user_rows):
            shares = self.truth.taste_shares(user_rows, self.day)
            extra = self._more * (shares @ self._appeal[self._viral].T)
            which = rng.random(len(item))[:, None] * self._total(shares)[:, None]
            place = (np.cumsum(extra, axis=1) <= which).sum(axis=1)
            is_viral = place < len(self._viral)
            item[is_viral] = self._viral[place[is_viral]]
        return item

    def _total(self, shares: Floats32) -> Floats:
        """Return what all chances of each user sum to, what is viral included."""
        return np.asarray(1 + (shares @ self._appeal[self._viral].T) @ self._more)

    def _set_truth(self, world: World) -> None:
        self.truth = Truth(world)
        self.truth.liking(np.zeros(1, np.int64), np.zeros(1, np.int64), self.day)  # calibrates it
        self._chooser = Chooser(world)


def _shifted(world: World, shift: Shift) -> World:
    tastes = world.users.tastes.copy()
    who = np.flatnonzero(shift.users)
    tastes[who] = 0
    tastes[who, shift.taste] = 1
    return dataclasses.replace(world, users=dataclasses.replace(world.users, tastes=tastes))
