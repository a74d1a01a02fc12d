"""Views: who watches what, when and for how long, and the rating that follows."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.special import ndtri

from batch.arrays import Doubles, Records, Rows
from benchmarks.simulator.clock import DAY_SECONDS, seconds_of_day
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.choices import Chooser
from benchmarks.simulator.world.fitted import (
    COMPLETED_SHARE,
    LIKING_WEIGHT,
    RANDOM_SHARE,
    RATED_SHARE,
    STARS,
)
from benchmarks.simulator.world.items import ALWAYS
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.world import World

# One row a view: `began` in seconds after the history's beginning, `minutes` watched (at least
# 1), `stars` in half steps 1 to 10 of the rating given when the view ends, 0 without a rating.
VIEW: Final = np.dtype(
    [("user_row", "i4"), ("item_row", "i4"), ("began", "i4"), ("minutes", "i2"), ("stars", "i1")]
)

_BLOCK_VIEWS: Final = 500_000
_MAX_BLOCK_USERS: Final = 50_000
_WEEK_SECONDS: Final = 7 * DAY_SECONDS
_HALF_STARS: Final = ndtri(np.cumsum(np.repeat(STARS, 2) / 2 / np.sum(STARS))[:-1])
_PAUSE_SECONDS: Final = 120  # between joining and the first view; longer than before an answer


class ViewSource:
    """Draws all views of a world, a block of users at a time.

    Args:
        truth: Truth of the world.
        views_per_user: Mean number of views of a user; None: the measured one, which grows
            with the days.
    """

    def __init__(self, truth: Truth, views_per_user: float | None) -> None:
        self._world = truth.world
        self._truth = truth
        self._chooser = Chooser(self._world)
        self._expected = _expected_views(self._world)
        if views_per_user is not None:
            self._expected *= _factor(self._expected, views_per_user)
        self._max_views = max(1, len(self._world.items) // 2)

    def blocks(self) -> Iterator[slice]:
        """Yield slices of users with about half a million views each."""
        mean = float(_mean_views(self._expected))
        step = int(np.clip(_BLOCK_VIEWS / mean, 1, _MAX_BLOCK_USERS))
        for begin in range(0, len(self._expected), step):
            yield slice(begin, min(begin + step, len(self._expected)))

    def draw(self, block: slice) -> Records:
        """Draw the views of a block, ordered by user; every user has at least one."""
        rng = generator(self._world.seed, "views", block.start)
        n_views = np.minimum(_at_least_one(self._expected[block], rng), self._max_views)
        owner = np.repeat(np.arange(len(n_views)), n_views)
        began = self._times(block, owner, rng)
        day = began // DAY_SECONDS
        item_row = self._chooser.choose(block, owner, day, rng)
        is_found = item_row >= 0
        views = np.empty(int(is_found.sum()), VIEW)
        views["user_row"] = owner[is_found] + block.start
        views["item_row"] = item_row[is_found]
        views["began"] = began[is_found]
        self._watch(views, day[is_found], rng)
        return views

    def _times(self, block: slice, owner: Rows, rng: np.random.Generator) -> Rows:
        """Draw when views begin: any day since the user joined, hours by their popularity."""
        joined = self._world.users.joined[block][owner].astype(np.int64)
        first_day = np.maximum(joined, 0) // DAY_SECONDS
        days = first_day + (rng.random(len(owner)) * (self._world.n_days - first_day)).astype(int)
        began = days * DAY_SECONDS + seconds_of_day(rng.random(len(owner)))
        not_before = np.where(joined == ALWAYS, 0, joined + _PAUSE_SECONDS)
        return np.asarray(np.maximum(began, not_before))

    def _watch(self, views: Records, day: Rows, rng: np.random.Generator) -> None:
        """Fill in minutes and stars; views are cut off at the history's end."""
        rows = views["user_row"], views["item_row"]
        minutes, stars = watched(self._truth, *rows, day, rng)
        end = self._world.n_days * DAY_SECONDS
        until_end = (end - 1 - views["began"]) // 60 + 1
        views["minutes"] = np.clip(minutes, 1, until_end)
        views["stars"] = np.where(views["began"] + 60 * minutes < end, stars, 0)


def default_random_share(world: World, views_per_user: float | None) -> float:
    """Return the default share of a world's views that follow no taste.

    It is one view of each user, or RANDOM_SHARE where that is more.

    Args:
        world: World with the users; its own `random_share` is not used.
        views_per_user: Mean number of views of a user; None: the measured one.
    """
    mean = views_per_user or _mean_views(_expected_views(world))
    return max(RANDOM_SHARE, 1 / mean)


def watched(
    truth: Truth, user_rows: Rows, item_rows: Rows, day: Rows, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Draw minutes and stars of views, both by how much each view is enjoyed.

    Enjoyment is standard normal and correlated with liking, which depends on taste.
    The least enjoyed views are broken off at a random minute; stars follow its rank.

    Args:
        truth: Truth of the world.
        user_rows: (n,) user of each view.
        item_rows: (n,) item of each view.
        day: (n,) day of each view.
        rng: Random generator of these views.

    Returns:
        (n,) minutes, at least 1; (n,) half stars from 1 to 10, 0 without a rating.
    """
    liking = np.empty(len(user_rows))
    for begin in range(0, len(liking), 1 << 16):
        part = slice(begin, begin + (1 << 16))
        liking[part] = truth.liking(user_rows[part], item_rows[part], day[part])
    noise = rng.standard_normal(len(liking))
    enjoyment = LIKING_WEIGHT * liking + np.sqrt(1 - LIKING_WEIGHT**2) * noise
    is_complete = enjoyment > ndtri(1 - COMPLETED_SHARE)
    share = np.where(is_complete, 1.0, rng.random(len(liking)))
    minutes = np.ceil(share * truth.world.items.runtimes[item_rows]).astype(np.int64)
    is_rated = rng.random(len(liking)) < RATED_SHARE
    stars = np.where(is_rated, 1 + np.searchsorted(_HALF_STARS, enjoyment), 0)
    return np.maximum(minutes, 1), stars


def _expected_views(world: World) -> Doubles:
    """Return each user's expected views; late users have fewer, the mean is the measured one."""
    present = world.n_days * DAY_SECONDS - np.maximum(world.users.joined, 0)
    n_weeks = world.n_days * DAY_SECONDS / _WEEK_SECONDS
    return np.asarray(world.users.rates * n_weeks * (present / present.mean()), np.float64)


def _mean_views(expected: Doubles) -> float:
    """Return the mean of zero-truncated Poisson numbers of those expectations."""
    small = np.maximum(expected, 1e-9)
    return float(np.mean(small / -np.expm1(-small)))


def _factor(expected: Doubles, mean: float) -> float:
    """Return the factor of the expectations that gives a mean number of views, by bisection."""
    low, high = 1e-9, 1.0
    while _mean_views(high * expected) < mean:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean_views(middle * expected) < mean else (low, middle)
    return high


def _at_least_one(expected: Doubles, rng: np.random.Generator) -> Rows:
    """Draw zero-truncated Poisson numbers: the first event of a process that has one, then more.

    The first comes after -log(1 - u·(1 - exp(-expected))), u uniform.
    """
    first = -np.log1p(rng.random(len(expected)) * np.expm1(-expected))
    return 1 + rng.poisson(np.maximum(expected - first, 0))
