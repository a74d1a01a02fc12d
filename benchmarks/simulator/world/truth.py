"""The truth that real data never has: what each user would watch and like, and the best list.

`watch_chances` is the relevance that lists are judged by: the probability
that an item is the next one a user watches. A user who looks for a film and
finds it in a list clicks it, so the sum over a list is its click-through.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from benchmarks.simulator.world.fitted import DRIFT_DAYS, LIKING_WEIGHT, STARS
from benchmarks.simulator.world.items import Floats, Floats32, Rows
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.world import World

LIST_LENGTH: Final = 20
_LIKED_STARS: Final = 4
_SAMPLE: Final = 10_000_000  # pairs of a user and an item that calibrate liking
_STEPS: Final = 4000  # of that calibration


@dataclass(frozen=True)
class Truth:
    """What the users of a world want; all rows are rows of its users and items.

    Attributes:
        world: Whose.
    """

    world: World

    def taste_shares(self, user_rows: Rows, day: float | Rows) -> Floats32:
        """Return (n, N_TASTES), what the users' views go by; rows sum to 1.

        A user's taste turns slowly to another one; a few views follow no taste.

        Args:
            user_rows: (n,)
            day: One for all, or (n,), one for each.
        """
        users = self.world.users
        turned = np.broadcast_to(turned_share(day), len(user_rows)).astype(np.float32)
        shares = (1 - turned)[:, None] * users.tastes[user_rows]
        shares[np.arange(len(shares)), users.turns[user_rows]] += turned
        wandering = self.world.wandering
        shares = (1 - wandering) * shares + wandering * self.world.common_tastes
        return np.asarray(shares, np.float32)

    def watch_chances(self, user_rows: Rows, day: float) -> Floats32:
        """Return (n, n_items), the chance of each item to be a user's next; rows sum to 1.

        Items that are not in the catalogue yet have none. Ask for some
        thousand users at a time: a row of 27,000 items takes 108 kB.
        """
        chances = self.taste_shares(user_rows, day) @ self._appeal.T
        chances[:, self.world.items.first_days > day] = 0
        return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float32)

    def liking(self, user_rows: Rows, item_rows: Rows, day: float | Rows) -> Floats:
        """Return (n,) how well each user likes the item beside; over all views standard normal.

        It goes by how much likelier the user watches the item than anybody.
        """
        shares = self.taste_shares(user_rows, day)
        lift = np.einsum("ij,ij->i", shares, self._ratios[item_rows])
        return np.asarray(np.interp(np.log(lift), *self._calibration))

    def like_chances(self, user_rows: Rows, item_rows: Rows, day: float | Rows) -> Floats:
        """Return (n,) the chance that the user would give the item at least 4 stars of 5."""
        noise = np.sqrt(1 - LIKING_WEIGHT**2)
        least = ndtri(np.cumsum(STARS)[_LIKED_STARS - 2])
        liked = ndtr((LIKING_WEIGHT * self.liking(user_rows, item_rows, day) - least) / noise)
        return np.asarray(liked)

    def best_lists(
        self, user_rows: Rows, day: float, seen: npt.NDArray[np.bool_], k: int = LIST_LENGTH
    ) -> Rows:
        """Return (n, k) item rows, the most probable first, without what has been seen.

        Args:
            user_rows: (n,)
            day: Of the history, or after it.
            seen: (n, n_items).
            k: Length of a list, at most the number of unseen items.
        """
        return best_of(np.where(seen, -1, self.watch_chances(user_rows, day)), k)

    def popular_list(self, day: float, k: int = LIST_LENGTH) -> Rows:
        """Return (k,) item rows, what all users together watch most."""
        there = self.world.items.first_days <= day
        return best_of(np.where(there, self.world.items.popularity, -1), k)

    @cached_property
    def _appeal(self) -> Floats32:
        return self.world.appeal

    @cached_property
    def _ratios(self) -> Floats32:
        """(n_items, N_TASTES), appeal over popularity."""
        common = self.world.common_tastes
        return np.asarray(self.world.items.tastes / np.where(common, common, 1), np.float32)

    @cached_property
    def _calibration(self) -> tuple[Floats, Floats]:
        """Logarithms of lift, and the normal quantile of each over the views of the first day."""
        n_users, n_items = len(self.world.users), len(self.world.items)
        user_rows = np.arange(n_users)[:: 1 + n_users * n_items // _SAMPLE]
        shares = self.taste_shares(user_rows, 0)
        logarithm = np.log(shares @ self._ratios.T)
        counts, edges = np.histogram(logarithm, _STEPS, weights=shares @ self._appeal.T)
        below = (np.cumsum(counts) - counts / 2) / counts.sum()
        least = 0.5 / _SAMPLE
        return (edges[:-1] + edges[1:]) / 2, ndtri(np.clip(below, least, 1 - least))


def turned_share(day: float | Rows) -> Floats:
    """Return how much of every user's taste has turned to something else by a day."""
    return np.asarray(-np.expm1(-np.asarray(day) / DRIFT_DAYS))
