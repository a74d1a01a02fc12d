"""Viewers: what users do with a list that they are shown.

    user ─┬─ scans the list from the top ─┬─ takes an item and watches it
          │                               └─ gives up ─┐
          └─ ignores the list ─────────────────────────┴─┬─ watches something that was not shown
                                                         └─ nothing

An examined item is taken with a probability that grows with the user's own
preference for it, and never if it was watched before. After each item that is
not taken the user continues with a fixed probability, so later ranks are
examined less often, and a good item far down is worth less.

Source:
    Craswell, Zoeter, Taylor and Ramsey, "An experimental comparison of click
    position-bias models", WSDM 2008 (cascade model); the probability to continue
    is the perseverance of Chapelle and Zhang, "A dynamic Bayesian network click
    model for web search ranking", WWW 2009.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import AnyFloats, Doubles, Flags, Rows
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.world.truth import LIST_LENGTH
from benchmarks.simulator.world.views import watched

# Chosen: no recording has these values. Systems of this kind reported a click rate of
# 0.61 to 0.66 and an MRR of 0.34 to 0.38.
SCAN_SHARE: Final = 0.9  # share of the users who scan the list
CONTINUE_SHARE: Final = 0.93  # probability to continue after an item that was not taken
ATTRACTION_FACTOR: Final = 6.0  # from the probability of the next view to that of a click
OWN_SHARE: Final = 0.2  # share that watches something else, of users who took nothing


class Reaction(NamedTuple):
    """Reactions to lists that were shown.

    Attributes:
        rank: (n,) rank of the item that was taken, from 1; 0 for no item.
        item: (n,) row of the item watched, -1 for no item; with rank 0 the user's own choice.
        minutes: (n,) minutes watched.
        stars: (n,) half stars given at the end, from 1 to 10; 0 without a rating.
        expected: (n,) probability that an item of the list is taken.
    """

    rank: Rows
    item: Rows
    minutes: Rows
    stars: Rows
    expected: Doubles


class Viewers:
    """All users of a world, as viewers.

    Args:
        preferences: True preferences of the users.
        seen: Items that users have watched; new views are added.
    """

    def __init__(self, preferences: Preferences, seen: Seen) -> None:
        self._preferences = preferences
        self._seen = seen
        n_users = len(preferences.truth.world.users)
        self._shown = np.zeros(
            (n_users, LIST_LENGTH), np.int32
        )  # row + 1: untouched pages are free

    def react(self, user_rows: Rows, lists: Rows, rng: np.random.Generator) -> Reaction:
        """Draw the reaction of each user.

        Args:
            user_rows: (n,) rows of users.
            lists: (n, k) item rows, best first; -1 fills the remaining ranks.
            rng: Random generator of these reactions.
        """
        chances = self._preferences.chances(user_rows, lists)
        taken = attraction(chances, self._seen.has(user_rows[:, None], lists))
        rank = taken_ranks(taken, rng)
        item = np.where(
            rank, np.take_along_axis(lists, np.maximum(rank - 1, 0)[:, None], 1)[:, 0], -1
        )
        shown = self._last_shown(user_rows, lists)
        own = np.flatnonzero((rank == 0) & (rng.random(len(rank)) < OWN_SHARE))
        item[own] = self._preferences.choose(user_rows[own], shown[own], self._seen, rng)
        minutes, stars = np.zeros((2, len(item)), np.int64)
        who = np.flatnonzero(item >= 0)
        day = np.full(len(who), self._preferences.day)
        minutes[who], stars[who] = watched(
            self._preferences.truth, user_rows[who], item[who], day, rng
        )
        self._seen.add(user_rows[who], item[who])
        return Reaction(rank, item, minutes, stars, expected_clicks(taken))

    def _last_shown(self, user_rows: Rows, lists: Rows) -> Rows:
        """Return (n, LIST_LENGTH) the list that each user was shown last, -1 for no item."""
        has_list = np.flatnonzero((lists >= 0).any(axis=1))
        self._shown[user_rows[has_list]] = 0
        self._shown[user_rows[has_list], : lists.shape[1]] = lists[has_list] + 1
        return np.asarray(self._shown[user_rows].astype(np.int64) - 1)


def attraction(chances: AnyFloats, is_seen: Flags) -> Doubles:
    """Return the probability that an examined item is taken."""
    return np.where(is_seen, 0.0, -np.expm1(-ATTRACTION_FACTOR * chances))


def expected_clicks(taken: Doubles) -> Doubles:
    """Return (n,) the probability that an item of each list is taken: the true click-through.

    SCAN · Σ_r  CONTINUE^(r-1) · a_r · Π_{q<r} (1 - a_q)

    The list by descending `a` has the highest value: two neighbours in the
    wrong order cost (1 - CONTINUE) · their difference.

    Args:
        taken: (n, k) probability of each rank to be taken when it is examined.
    """
    passed = np.cumprod(np.hstack((np.ones((len(taken), 1)), 1 - taken[:, :-1])), axis=1)
    examined_shares = CONTINUE_SHARE ** np.arange(taken.shape[1])
    return np.asarray(SCAN_SHARE * ((passed * taken) @ examined_shares))


def taken_ranks(taken: Doubles, rng: np.random.Generator) -> Rows:
    """Draw (n,) the rank of each list that is taken, from 1; 0 for no rank.

    Args:
        taken: (n, k) probability of each rank to be taken when it is examined.
        rng: Random generator of the draws.
    """
    n_lists, length = taken.shape
    n_examined = rng.geometric(1 - CONTINUE_SHARE, n_lists) * (rng.random(n_lists) < SCAN_SHARE)
    is_attractive = rng.random((n_lists, length)) < taken
    rank = np.where(is_attractive.any(axis=1), is_attractive.argmax(axis=1) + 1, length + 1)
    return np.where(rank <= np.minimum(n_examined, length), rank, 0)
