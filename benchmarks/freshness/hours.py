"""Some hours of a simulated service, twice: with the speed layer, and without it.

    minute ─► users who return ─► lists over HTTP ─► reactions ─► new views ─► speed layer
                                       └─► oracle: value of the list, the popular and the best one

Both runs have the same users at the same minutes, and the same random numbers. What differs is
the lists, and so what users watch. Some users are new to the snapshot, with a profile: without
the speed layer they get the list of their segment. The figures' intervals are bootstrapped by
user, and paired: each draw has the same users in both runs.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Flags, Rows
from batch.evaluation.bootstrap import Interval, resampled_sums
from batch.interactions.weights import DEFAULT_WEIGHTING
from benchmarks.ceiling.history import History, HistoryOptions, make_history
from benchmarks.ceiling.report import measured
from benchmarks.freshness.service import Pairs, ServerLists, Service, pairs_of
from benchmarks.simulator.live.audience.oracle import ListValues, Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import Viewers
from benchmarks.simulator.seeds import generator

_MINUTE_SECONDS: Final = 60
_NEW_SHARE: Final = 0.2  # of the users that are new to the snapshot
_TAILS: Final = (0.025, 0.975)
_NONE: Final = Interval(math.nan, math.nan, math.nan)
_N_PARTS: Final = 4  # of the time, each a row of the report
_MAX_VIEWS: Final = 3  # of a new user, from which on they are one group


class HoursOptions(NamedTuple):
    """Size of the world and of the traffic.

    Attributes:
        n_users, n_items: Size of the world.
        views_per_user: Mean number of views of a user in the history.
        n_hours: Simulated hours.
        n_requests: Mean number of requests of a user in an hour.
        model: Model of the lists.
        seed: Random seed.
    """

    n_users: int
    n_items: int
    views_per_user: float
    n_hours: float
    n_requests: float
    model: str
    seed: int


@dataclasses.dataclass(frozen=True, slots=True)
class Requests:
    """Requests of one run, (n,) each.

    Attributes:
        user: Row of the user.
        minute: Minute of the run.
        n_views: Views of the user since the snapshot, before this request.
        is_click: Whether an item of the list was taken.
        gained: True value of the list, less that of the popular one.
        gainable: The same of the best possible list.
        gained_by_segment: The same of the list without the speed layer, of new users.
    """

    user: Rows
    minute: Rows
    n_views: Rows
    is_click: Flags
    gained: Doubles
    gainable: Doubles
    gained_by_segment: Doubles


class Comparison(NamedTuple):
    """Figures of some requests, with and without the speed layer.

    Attributes:
        name: Name of the requests.
        n_requests: Number of requests with the speed layer.
        uplift, uplift_without: Uplift of the lists.
        gain: Difference of the uplifts.
        relative_gain: The same by the uplift without the speed layer; NaN unless that is above 0.
        click_through, click_through_without: Views from the list, per request; the latter is
            NaN where both lists are those that could be shown at the same requests.
    """

    name: str
    n_requests: int
    uplift: Interval
    uplift_without: Interval
    gain: Interval
    relative_gain: Interval
    click_through: Interval
    click_through_without: Interval


def compare_hours(options: HoursOptions, folder: Path) -> tuple[list[Comparison], float]:
    """Run both, and return the comparisons and the mean number of views of a user in the run."""
    made = HistoryOptions(
        options.n_users, options.n_items, options.views_per_user, (1,), 1, options.seed
    )
    history = make_history(made, DEFAULT_WEIGHTING)
    service = Service(history, folder, options.model)
    views = pairs_of(history)
    rng = generator(options.seed, "new users of the hours")
    is_new = rng.random(options.n_users) < _NEW_SHARE
    known = views.of(~is_new[views.users])
    service.refresh(known)
    run = _Run(history, known, is_new, options)
    with service.server("without", has_fresh=False) as plain:
        without = run.requests(plain, plain, lambda _: None)
        with service.server("fresh") as lists, service.speed_layer() as wait:

            def add(views: Pairs) -> None:
                service.add(views)
                wait()
                lists.renew()

            fresh = run.requests(lists, plain, add)
    n_views = float(run.n_views.mean())
    return [*_comparisons(fresh, without, is_new, options)], n_views


class _Run:
    """The users of a world, who return minute by minute.

    Args:
        history: World and views.
        known: Views that the snapshot has.
        is_new: (n_users,) whether a user is new to the snapshot.
        options: Size of the traffic.

    Attributes:
        n_views: (n_users,) views of each user in the latest run.
    """

    def __init__(
        self, history: History, known: Pairs, is_new: Flags, options: HoursOptions
    ) -> None:
        self._world, self._options, self._is_new = history.world, options, is_new
        self._known, self._n_items = known, len(history.world.items)
        self._preferences = Preferences(history.world)
        self._began_at = int(known.at.max()) + 1
        self.n_views = np.zeros(len(is_new), np.int64)

    def requests(
        self, lists: ServerLists, plain: ServerLists, add: Callable[[Pairs], None]
    ) -> Requests:
        """Run the hours with one server.

        Args:
            lists: Lists that users are shown.
            plain: Lists without the speed layer.
            add: Function that makes new views known.
        """
        keys = self._known.users * self._n_items + self._known.items
        seen = Seen(self._n_items, keys)
        oracle = Oracle(self._preferences, seen, self._world.items.popularity)
        viewers = Viewers(self._preferences, seen)
        self.n_views[:] = 0
        found: list[Requests] = []
        for minute in range(round(self._options.n_hours * 60)):
            rng = generator(self._options.seed, "minute", minute)
            users = self._returning(rng)
            shown = lists.of(users)
            values = measured(oracle, users, shown)
            by_segment = self._gained_by_segment(oracle, users, plain)
            reaction = viewers.react(users, shown, rng)
            found.append(
                Requests(
                    users, np.full(len(users), minute), self.n_views[users], reaction.rank > 0,
                    values.expected - values.popular, values.best - values.popular, by_segment,
                )
            )  # fmt: skip
            watched = np.flatnonzero(reaction.item >= 0)
            self.n_views[users[watched]] += 1
            at = np.full(len(watched), self._began_at + _MINUTE_SECONDS * minute)
            add(Pairs(users[watched], reaction.item[watched], at))
        fields = [field.name for field in dataclasses.fields(Requests)]
        columns = (np.concatenate([getattr(one, name) for one in found]) for name in fields)
        return Requests(*columns)

    def _returning(self, rng: np.random.Generator) -> Rows:
        """Return the users of a minute, ascending, each once."""
        rates = self._world.users.rates.astype(np.float64)
        n = rng.poisson(self._options.n_requests * len(rates) / 60)
        return np.unique(rng.choice(len(rates), n, p=rates / rates.sum()))

    def _gained_by_segment(self, oracle: Oracle, users: Rows, plain: ServerLists) -> Doubles:
        """Return (n,) gains of new users by the lists without the speed layer, else 0."""
        gained = np.zeros(len(users))
        new = np.flatnonzero(self._is_new[users])
        if len(new):
            values: ListValues = measured(oracle, users[new], plain.of(users[new]))
            gained[new] = values.expected - values.popular
        return gained


def _comparisons(
    fresh: Requests, without: Requests, is_new: Flags, options: HoursOptions
) -> Iterator[Comparison]:
    """Yield the comparisons of all requests, by time, and of new users by their views."""

    def compared(name: str, of: Callable[[Requests], Flags]) -> Comparison:
        sums = [_sums(one, of(one), len(is_new), one.gained) for one in (fresh, without)]
        return _compared(name, int(of(fresh).sum()), *sums)

    yield compared("all", lambda one: np.ones(len(one.user), np.bool_))
    edges = np.linspace(0, options.n_hours * 60, _N_PARTS + 1)
    for begin, end in pairwise(edges.tolist()):
        in_part = partial(_is_between, begin=begin, end=end)
        yield compared(f"minutes {begin:.0f} to {end:.0f}", in_part)
    yield compared("known users", lambda one: ~is_new[one.user])
    yield compared("new users", lambda one: is_new[one.user])
    for n_views in range(1, _MAX_VIEWS + 1):
        n_of = np.minimum(fresh.n_views, _MAX_VIEWS)
        is_of = is_new[fresh.user] & (n_of == n_views)
        both = (fresh.gained, fresh.gained_by_segment)
        sums = [_sums(fresh, is_of, len(is_new), gained) for gained in both]
        more = "+" if n_views == _MAX_VIEWS else ""
        found = _compared(f"new users of {n_views}{more} views", int(is_of.sum()), *sums)
        yield found._replace(click_through_without=_NONE)


def _is_between(requests: Requests, begin: float, end: float) -> Flags:
    return np.asarray((requests.minute >= begin) & (requests.minute < end))


def _sums(requests: Requests, is_of: Flags, n_users: int, gained: Doubles) -> Doubles:
    """Return (n_users, 4) sums of gained, gainable, clicks and requests."""
    columns = (gained, requests.gainable, requests.is_click, np.ones(len(gained)))
    users = requests.user[is_of]
    return np.stack(
        [np.bincount(users, column[is_of].astype(np.float64), n_users) for column in columns],
        axis=1,
    )


def _compared(name: str, n_requests: int, fresh: Doubles, without: Doubles) -> Comparison:
    columns = np.concatenate([fresh, without], axis=1)
    columns = columns[columns.any(axis=1)]
    if not len(columns):
        return Comparison(name, 0, *[_NONE] * 6)
    drawn = np.concatenate([columns.sum(axis=0)[None], resampled_sums(columns)])
    with np.errstate(divide="ignore", invalid="ignore"):
        uplift, click_through = drawn[:, 0] / drawn[:, 1], drawn[:, 2] / drawn[:, 3]
        old_uplift, old_click_through = drawn[:, 4] / drawn[:, 5], drawn[:, 6] / drawn[:, 7]
        gain = uplift - old_uplift
        relative = np.where(old_uplift > 0, gain / old_uplift, np.nan)
        figures = (uplift, old_uplift, gain, relative, click_through, old_click_through)
    return Comparison(name, n_requests, *map(_interval, figures))


def _interval(drawn: Doubles) -> Interval:
    """Return a figure, the first, with the interval of those of the draws."""
    if not np.isfinite(drawn).all():
        return _NONE
    low, high = np.quantile(drawn[1:], _TAILS)
    return Interval(float(drawn[0]), float(low), float(high))
