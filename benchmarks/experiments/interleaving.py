"""Users needed to find that a list is better: by an A/B test, and by interleaving.

    true preferences ─► ranked with some error ─► list B ──┬─► drafted ─► credits ─► preference
                        ranked with more error ─► list A ──┘
                              A: half of the users, B: the other half ─► click-through

Users, items and clicks are those of the simulator: users examine a list from the top and take
at most one item. The error of A is set so that the true click-through of B is 5 % higher.
The number of users follows from a normal test with a power of 80 %. It is checked: as many
users are drawn again and again, and more while fewer than 80 % of the tests are significant.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from batch.arrays import AnyFloats, Doubles, Rows
from benchmarks.experiments.ab import Share, share_of
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.viewers import attraction, expected_clicks, taken_ranks
from benchmarks.simulator.world.world import make_world
from stream.experiments.statistics.cuped import UserValues
from stream.experiments.statistics.designs import Fixed
from stream.experiments.statistics.effects import Effect, difference
from stream.experiments.statistics.preference import preference_effect

LIST_LENGTH: Final = 20
LIFT: Final = 0.05
POWER: Final = 0.8
_ERROR: Final = 0.5  # deviation of the logarithm of a probability in the ranking of B
_MEAN_REQUESTS: Final = 5.0  # of a user; geometric
_GROWTH: Final = 1.05  # of the number of users while the power is too small
_SHARED: Final = -1  # team of an item that both lists have at the same rank


class Need(NamedTuple):
    """Users that a test needs.

    Attributes:
        n_users: Number of users for the power.
        power: Share of repeated tests with so many users that are significant.
    """

    n_users: int
    power: Share


class Visits(NamedTuple):
    """Requests of simulated users, and what they take of each of three lists.

    Attributes:
        requests: (n_users,) number of requests.
        clicks: (n_users, 2) clicks in list A and in list B.
        credits: (n_users, 2) clicks in the drafted list on items of A and of B.
        lift: True lift of B's click-through.
    """

    requests: Doubles
    clicks: Doubles
    credits: Doubles
    lift: float


def needs(visits: Visits, n_repeats: int, seed: int) -> tuple[Need, Need]:
    """Return the users that the A/B test and interleaving need."""
    random = np.random.default_rng(seed)
    n_pool = len(visits.requests)
    arms = [UserValues(clicks, visits.requests).rate() for clicks in visits.clicks.T]

    def ab(n_users: int) -> Effect:
        drawn = np.array_split(random.integers(0, n_pool, n_users), 2)
        halves = zip(drawn, visits.clicks.T, strict=True)
        return difference(*(UserValues(c[who], visits.requests[who]).rate() for who, c in halves))

    def interleaved(n_users: int) -> Effect:
        return preference_effect(*visits.credits[random.integers(0, n_pool, n_users)].T)

    return (
        _need(users_for(difference(*arms), n_pool), ab, n_repeats),
        _need(users_for(preference_effect(*visits.credits.T), n_pool), interleaved, n_repeats),
    )


def _need(n_users: int, draw: Callable[[int], Effect], n_repeats: int) -> Need:
    """Return the first number of users, from the given one on, with the power."""
    while True:
        effects = [draw(n_users) for _ in range(n_repeats)]
        is_found = [e.value > 0 and Fixed().p_value(e) < Fixed().alpha for e in effects]
        power = share_of(sum(is_found), n_repeats)
        if power.value >= POWER:
            return Need(n_users, power)
        n_users = math.ceil(_GROWTH * n_users)


def users_for(effect: Effect, n_pool: int) -> int:
    """Return the users of all arms that a two-sided normal test needs for the power.

    Args:
        effect: Effect on a pool, of which every user was in every arm.
        n_pool: Number of users of the pool; the variance is that of as many in each arm.
    """
    in_each_arm = n_pool * ((norm.ppf(0.975) + norm.ppf(POWER)) / effect.z) ** 2
    return math.ceil(in_each_arm * effect.n_users / n_pool)


def visit(n_users: int, n_items: int, seed: int) -> Visits:
    """Simulate users who are shown list A, list B, and both drafted into one."""
    random = np.random.default_rng(seed)
    preferences = Preferences(make_world(n_users, n_items, seed))
    chances = preferences.all_chances(np.arange(n_users)).astype(np.float32)
    lists = lists_with_lift(chances, random)
    drafted, team = draft(*lists, random)
    requests = random.geometric(1 / _MEAN_REQUESTS, n_users)
    user = np.repeat(np.arange(n_users), requests)
    clicks = np.zeros((2, n_users))
    for arm, rows in enumerate(lists):
        taken = _attraction(chances, rows)
        clicks[arm] = np.bincount(user, taken_ranks(taken[user], random) > 0, n_users)
    rank = taken_ranks(_attraction(chances, drafted)[user], random)
    by_team = np.where(rank > 0, team[user, rank - 1], _SHARED)
    credits_by = [np.bincount(user, by_team == arm, n_users) for arm in (0, 1)]
    return Visits(
        requests.astype(np.float64), clicks.T, np.stack(credits_by, axis=1).astype(np.float64),
        true_lift(chances, *lists),
    )  # fmt: skip


def lists_with_lift(chances: AnyFloats, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Return lists A and B of each user, (n_users, LIST_LENGTH), B better by LIFT."""
    ranking = np.log(chances) + _ERROR * random.standard_normal(chances.shape, np.float32)
    more = random.standard_normal(chances.shape, np.float32)
    better = best(ranking)

    def excess(error: float) -> float:
        return true_lift(chances, best(ranking + np.float32(error) * more), better) - LIFT

    error = brentq(excess, 0.0, 3.0, xtol=1e-3)
    return best(ranking + np.float32(error) * more), better


def true_lift(chances: AnyFloats, control: Rows, treatment: Rows) -> float:
    """Return the lift of the expected click-through."""
    values = [expected_clicks(_attraction(chances, rows)).mean() for rows in (control, treatment)]
    return float(values[1] / values[0] - 1)


def _attraction(chances: AnyFloats, lists: Rows) -> Doubles:
    return attraction(np.take_along_axis(chances, lists, axis=1), np.zeros(lists.shape, np.bool_))


def best(scores: AnyFloats) -> Rows:
    """Return (n, LIST_LENGTH) columns of the largest scores of each row, largest first."""
    some = np.argpartition(-scores, LIST_LENGTH - 1, axis=1)[:, :LIST_LENGTH]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


def draft(control: Rows, treatment: Rows, random: np.random.Generator) -> tuple[Rows, Rows]:
    """Draft two lists of each user into one, as teams choose players.

    The team with fewer items, or in a tie that of a coin, adds its best item that is left.
    An item at the same rank of both lists belongs to no team.

    Returns:
        (n_users, LIST_LENGTH) items, and the team of each: 0, 1 or -1.

    Source:
        Radlinski, Kurup and Joachims, CIKM 2008, section 3.3.
    """
    n_users, length = control.shape
    lists = np.stack((control, treatment))
    users = np.arange(n_users)
    is_left = np.ones((2, n_users, length), np.bool_)
    n_items_of = np.zeros((2, n_users), np.int64)
    drafted, team = np.empty((2, n_users, length), np.int64)
    for rank in range(length):
        coin = random.random(n_users) < 0.5
        turn = np.where(n_items_of[0] == n_items_of[1], coin, n_items_of[0] > n_items_of[1])
        turn = turn.astype(np.int64)
        place = is_left[turn, users].argmax(axis=1)
        item = lists[turn, users, place]
        is_left &= lists != item[:, None]
        n_items_of[turn, users] += 1
        drafted[:, rank] = item
        team[:, rank] = np.where((lists[:, users, place] == item).all(axis=0), _SHARED, turn)
    return drafted, team
