"""The world: users, items, and the tastes that both share."""

from dataclasses import dataclass

import numpy as np

from benchmarks.simulator.world.fitted import WANDERING_SHARE
from benchmarks.simulator.world.items import Floats, Floats32, Items, make_items
from benchmarks.simulator.world.users import Users, make_users


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is true before anything happens.

    A user of taste shares θ watches item i next with the probability

        Σ_k θ_k · φ_ki,   φ_ki = popularity_i · tastes_ik / common_k

    so that all users together watch by popularity, and each by taste.

    Attributes:
        seed: Of everything random, now and later.
        n_days: Length of the history; new items and users arrive until then.
        items, users: What and who there is.
        common_tastes: (N_TASTES,) of all views; sums to 1.
        wandering: Share of the views that follow no taste.
    """

    seed: int
    n_days: int
    items: Items
    users: Users
    common_tastes: Floats
    wandering: float

    @property
    def appeal(self) -> Floats32:
        """(n_items, N_TASTES), the chance of each item within a taste; columns sum to 1."""
        shares = self.items.popularity[:, None] * self.items.tastes
        return np.asarray(shares / np.where(self.common_tastes, self.common_tastes, 1), np.float32)


def make_world(
    n_users: int, n_items: int, seed: int, n_days: int = 7, wandering: float = WANDERING_SHARE
) -> World:
    """Draw a world; the same arguments give the same one.

    Args:
        n_users: That there are at the history's end.
        n_items: As many.
        seed: Of everything random.
        n_days: Length of the history.
        wandering: Share of the views that follow no taste; `views.usual_wandering` says
            which one suits users of whom little is known.
    """
    items = make_items(n_items, n_days, seed)
    common = items.popularity @ items.tastes.astype(np.float64)
    common /= common.sum()
    users = make_users(n_users, n_days, common, seed)
    return World(seed, n_days, items, users, common, wandering)
