"""Viewers: what users do with the list that they have been shown.

    asked ─┬─ looks through the list, from the top ─┬─ takes an item, and watches it
           │                                        └─ gives up ─┐
           └─ does not look ─────────────────────────────────────┴─┬─ watches something else
                                                                   └─ nothing

An item that is looked at is taken with a chance that grows with how likely the
user would watch it anyway, and never if it was watched before. After each item
that was not taken the user goes on with a fixed chance, so places are looked at
less and less, and a good item far down is worth less.

Source:
    Craswell, Zoeter, Taylor and Ramsey, "An experimental comparison of click
    position-bias models", WSDM 2008 (cascade model); the chance to go on after
    what was not taken is the perseverance of Chapelle and Zhang, "A dynamic
    Bayesian network click model for web search ranking", WWW 2009.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.live.audience.preferences import Wants
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.world.items import Floats, Rows
from benchmarks.simulator.world.views import watched

# Chosen: no recording says it. Systems of this kind reported a click rate of
# 0.61 to 0.66 and an MRR of 0.34 to 0.38.
LOOKS_SHARE: Final = 0.9  # of the users asked for
GOES_ON: Final = 0.93  # after an item that was not taken
EAGERNESS: Final = 6.0  # from the chance to be the next view to that of being taken
OWN_SHARE: Final = 0.2  # of those who took nothing


class Reaction(NamedTuple):
    """What became of lists that were shown.

    Attributes:
        rank: (n,) place of the item that was taken, from 1; 0 for none.
        item: (n,) what is watched, -1 for nothing; without a rank it was the user's own choice.
        minutes: (n,) watched.
        stars: (n,) half stars given at the end, from 1 to 10; 0 for none.
        expected: (n,) chance with which an item of this list would have been taken.
    """

    rank: Rows
    item: Rows
    minutes: Rows
    stars: Rows
    expected: Floats


class Viewers:
    """All users of a world, as viewers.

    Args:
        wants: What they want.
        seen: What they have watched; what they watch now is added.
    """

    def __init__(self, wants: Wants, seen: Seen) -> None:
        self._wants = wants
        self._seen = seen

    def react(self, user_rows: Rows, lists: Rows, rng: np.random.Generator) -> Reaction:
        """Draw what each user does.

        Args:
            user_rows: (n,)
            lists: (n, k) item rows, best first; -1 fills the places left over.
            rng: Of these lists.
        """
        chances = self._wants.chances(user_rows, lists)
        taken = attraction(chances, self._seen.has(user_rows[:, None], lists))
        rank = _taken_ranks(taken, rng)
        item = np.where(
            rank, np.take_along_axis(lists, np.maximum(rank - 1, 0)[:, None], 1)[:, 0], -1
        )
        own = np.flatnonzero((rank == 0) & (rng.random(len(rank)) < OWN_SHARE))
        item[own] = self._wants.choose(user_rows[own], self._seen, rng)
        minutes, stars = np.zeros((2, len(item)), np.int64)
        who = np.flatnonzero(item >= 0)
        day = np.full(len(who), self._wants.day)
        minutes[who], stars[who] = watched(self._wants.truth, user_rows[who], item[who], day, rng)
        self._seen.add(user_rows[who], item[who])
        return Reaction(rank, item, minutes, stars, expected_clicks(taken))


def attraction(
    chances: npt.NDArray[np.floating], is_seen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the chance that an item is taken by a user who looks at it."""
    return np.where(is_seen, 0.0, -np.expm1(-EAGERNESS * chances))


def expected_clicks(taken: Floats) -> Floats:
    """Return (n,) the chance that something of each list is taken: the true click-through.

    LOOKS · Σ_r  GOES_ON^(r-1) · a_r · Π_{q<r} (1 - a_q)

    Of all lists the one by descending `a` has the highest: two neighbours in
    the wrong order cost (1 - GOES_ON) · their difference.

    Args:
        taken: (n, k) chance of each place to be taken where it is looked at.
    """
    passed = np.cumprod(np.hstack((np.ones((len(taken), 1)), 1 - taken[:, :-1])), axis=1)
    looked = GOES_ON ** np.arange(taken.shape[1])
    return np.asarray(LOOKS_SHARE * ((passed * taken) @ looked))


def _taken_ranks(taken: Floats, rng: np.random.Generator) -> Rows:
    n_lists, length = taken.shape
    n_looked = rng.geometric(1 - GOES_ON, n_lists) * (rng.random(n_lists) < LOOKS_SHARE)
    would = rng.random((n_lists, length)) < taken
    rank = np.where(would.any(axis=1), would.argmax(axis=1) + 1, length + 1)
    return np.where(rank <= np.minimum(n_looked, length), rank, 0)
