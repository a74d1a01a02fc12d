"""The world: users, items, and the tastes that both share."""

from dataclasses import dataclass

import numpy as np

from batch.arrays import Doubles, Floats
from benchmarks.simulator.world.fitted import RANDOM_SHARE
from benchmarks.simulator.world.items import Items, make_items
from benchmarks.simulator.world.users import Users, make_users


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is fixed before the first view.

    A user of taste shares θ watches item i next with the probability

        Σ_k θ_k · φ_ki,   φ_ki = popularity_i · tastes_ik / common_k

    so that all users together watch by popularity, and each by taste.

    Attributes:
        seed: Random seed of the world and of everything drawn from it.
        n_days: Length of the history; new items and users arrive until then.
        items, users: All items and users.
        common_tastes: (N_TASTES,) share of each taste in all views; sums to 1.
        random_share: Share of the views that follow no taste.
    """

    seed: int
    n_days: int
    items: Items
    users: Users
    common_tastes: Doubles
    random_share: float

    @property
    def appeal(self) -> Floats:
        """(n_items, N_TASTES), the probability of each item within a taste; columns sum to 1."""
        shares = self.items.popularity[:, None] * self.items.tastes
        return np.asarray(shares / np.where(self.common_tastes, self.common_tastes, 1), np.float32)


def make_world(
    n_users: int, n_items: int, seed: int, n_days: int = 7, random_share: float = RANDOM_SHARE
) -> World:
    """Draw a world; the same arguments give the same one.

    Args:
        n_users: Number of users at the history's end.
        n_items: Number of items at the history's end.
        seed: Random seed.
        n_days: Length of the history.
        random_share: Share of the views that follow no taste; `views.default_random_share`
            returns one that suits users with few views.
    """
    items = make_items(n_items, n_days, seed)
    common = items.popularity @ items.tastes.astype(np.float64)
    common /= common.sum()
    users = make_users(n_users, n_days, common, seed)
    return World(seed, n_days, items, users, common, random_share)
