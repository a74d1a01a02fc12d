"""The step of a sweep: from users' interactions to the users who are trained on, and their factors.

    interactions of a chunk ─► accounts that are not young ─► solved, given the items' factors

Young accounts outside the sample are left out whole: those of the sample have a share of their
influence, and a limit by item, which only looking at all accounts together can give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from batch.arrays import Flags
from batch.interactions.build import Interactions, with_items
from batch.models.all_users import SolvedUsers
from batch.models.least_squares_users import LeastSquares
from batch.trust.ages import first_and_last


@dataclass(frozen=True, slots=True)
class SweepStep:
    """What decides which users are trained on.

    Attributes:
        item_ids: (n_items,) ids of the items that are trained on.
        young_since: Time after which the accounts begin that are not trained on, seconds since
            1970; None: all are trained on.
        not_after: Time after which an event has a wrong clock.
    """

    item_ids: Sequence[str]
    young_since: int | None
    not_after: datetime

    def __call__(self, interactions: Interactions, solve: LeastSquares) -> SolvedUsers:
        """Return the users who are trained on, with their factors.

        Args:
            interactions: Interactions of some users; not modified.
            solve: Solver of the users, with the factors of the items.
        """
        weights = with_items(interactions, self.item_ids).weights
        return SolvedUsers.of(weights[np.flatnonzero(self._is_old(interactions))], solve)

    def _is_old(self, interactions: Interactions) -> Flags:
        """Return (n_users,) flags of the accounts that are not young."""
        if self.young_since is None:
            return np.ones(len(interactions.user_ids), np.bool_)
        first, _ = first_and_last(interactions, self.not_after)
        return np.asarray(first <= self.young_since)
