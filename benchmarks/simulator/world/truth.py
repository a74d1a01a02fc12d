"""The ground truth that real data lacks: what each user would watch and like, the best list.

`watch_chances` is the relevance by which lists are evaluated: the probability
that an item is the next one a user watches. A user who looks for a film and
finds it in a list clicks it, so the sum over a list is its click-through.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri

from batch.arrays import Doubles, Flags, Floats, Rows
from benchmarks.simulator.world.fitted import DRIFT_DAYS, LIKING_WEIGHT, STARS
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.world import World

LIST_LENGTH: Final = 20
_LIKED_STARS: Final = 4
_N_CALIBRATION_PAIRS: Final = 10_000_000  # pairs of a user and an item that calibrate liking
_N_CALIBRATION_BINS: Final = 4000


@dataclass(frozen=True)
class Truth:
    """The true preferences of a world's users; all rows are rows of its users and items.

    Attributes:
        world: World with the users and items.
    """

    world: World

    def taste_shares(self, user_rows: Rows, day: float | Rows) -> Floats:
        """Return (n, N_TASTES), the share of each taste in the users' views; rows sum to 1.

        A user's taste drifts slowly to another one; a few views follow no taste.

        Args:
            user_rows: (n,) rows of users.
            day: Day of the history, one for all or (n,), one for each.
        """
        users = self.world.users
        turned = np.broadcast_to(turned_share(day), len(user_rows)).astype(np.float32)
        shares = (1 - turned)[:, None] * users.tastes[user_rows]
        shares[np.arange(len(shares)), users.turns[user_rows]] += turned
        random_share = self.world.random_share
        shares = (1 - random_share) * shares + random_share * self.world.common_tastes
        return np.asarray(shares, np.float32)

    def watch_chances(self, user_rows: Rows, day: float) -> Floats:
        """Return (n, n_items), the chance of each item to be a user's next; rows sum to 1.

        It is 0 for items that are not in the catalogue yet. Ask for some
        thousand users at a time: a row of 27,000 items takes 108 kB.
        """
        chances = self.taste_shares(user_rows, day) @ self._appeal.T
        chances[:, self.world.items.first_days > day] = 0
        return np.asarray(chances / chances.sum(axis=1, keepdims=True), np.float32)

    def liking(self, user_rows: Rows, item_rows: Rows, day: float | Rows) -> Doubles:
        """Return (n,) how well each user likes the item; over all views standard normal.

        It grows with the probability that the user watches the item, relative to all users.
        """
        shares = self.taste_shares(user_rows, day)
        lift = np.einsum("ij,ij->i", shares, self._ratios[item_rows])
        return np.asarray(np.interp(np.log(lift), *self._calibration))

    def like_chances(self, user_rows: Rows, item_rows: Rows, day: float | Rows) -> Doubles:
        """Return (n,) the probability that the user gives the item at least 4 stars of 5."""
        noise = np.sqrt(1 - LIKING_WEIGHT**2)
        least = ndtri(np.cumsum(STARS)[_LIKED_STARS - 2])
        liked = ndtr((LIKING_WEIGHT * self.liking(user_rows, item_rows, day) - least) / noise)
        return np.asarray(liked)

    def best_lists(self, user_rows: Rows, day: float, seen: Flags, k: int = LIST_LENGTH) -> Rows:
        """Return (n, k) item rows, the most probable first, without the items that were seen.

        Args:
            user_rows: (n,) rows of users.
            day: Day of the history, or after it.
            seen: (n, n_items) True where the user has watched the item.
            k: Length of a list, at most the number of unseen items.
        """
        return best_of(np.where(seen, -1, self.watch_chances(user_rows, day)), k)

    def popular_list(self, day: float, k: int = LIST_LENGTH) -> Rows:
        """Return (k,) rows of the items that all users together watch most."""
        there = self.world.items.first_days <= day
        return best_of(np.where(there, self.world.items.popularity, -1), k)

    @cached_property
    def _appeal(self) -> Floats:
        return self.world.appeal

    @cached_property
    def _ratios(self) -> Floats:
        """(n_items, N_TASTES), appeal over popularity."""
        common = self.world.common_tastes
        return np.asarray(self.world.items.tastes / np.where(common, common, 1), np.float32)

    @cached_property
    def _calibration(self) -> tuple[Doubles, Doubles]:
        """Logarithms of lift, and the normal quantile of each over the views of the first day."""
        n_users, n_items = len(self.world.users), len(self.world.items)
        user_rows = np.arange(n_users)[:: 1 + n_users * n_items // _N_CALIBRATION_PAIRS]
        shares = self.taste_shares(user_rows, 0)
        logarithm = np.log(shares @ self._ratios.T)
        counts, edges = np.histogram(
            logarithm, _N_CALIBRATION_BINS, weights=shares @ self._appeal.T
        )
        below = (np.cumsum(counts) - counts / 2) / counts.sum()
        least = 0.5 / _N_CALIBRATION_PAIRS
        return (edges[:-1] + edges[1:]) / 2, ndtri(np.clip(below, least, 1 - least))


def turned_share(day: float | Rows) -> Doubles:
    """Return the share of every user's taste that has drifted to another taste by a day."""
    return np.asarray(-np.expm1(-np.asarray(day) / DRIFT_DAYS))
