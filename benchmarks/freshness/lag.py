"""Seconds until new views are in lists, and uplift of the same users' lists before and after.

Segments of new views are written, one a second, and some of their users are asked for until
their list is a fresh one.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from batch.arrays import Flags, Rows
from batch.interactions.weights import DEFAULT_WEIGHTING
from benchmarks.ceiling.history import History, HistoryOptions, make_history
from benchmarks.ceiling.report import measured
from benchmarks.freshness.service import Pairs, ServerLists, Service, pairs_of
from benchmarks.simulator.live.audience.oracle import Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen

_NEW: Final = 1  # views of a user who is new to the snapshot
_KNOWN: Final = 4  # views of an evaluated user who is known to it
_N_FRESH: Final = 2  # newest of these, which the snapshot has not read
_POLL_SECONDS: Final = 0.01
_N_ASKED: Final = 8  # users of each segment whose lists are asked for


class Uplift(NamedTuple):
    """Uplift of the same users' lists.

    Attributes:
        before: Uplift of the lists of the snapshot, or of the fallback.
        after: Uplift of the fresh lists.
    """

    before: float
    after: float


class LagOptions(NamedTuple):
    """Size of the world and of its new views.

    Attributes:
        n_users, n_items: Size of the world.
        n_evaluated: Maximum users whose lists are compared, new and known each.
        n_segments: Segments of new views, one a second.
        n_views: New views in each segment.
        model: Model of the lists.
        seed: Random seed.
    """

    n_users: int
    n_items: int
    n_evaluated: int
    n_segments: int
    n_views: int
    model: str
    seed: int


def measure_lag(options: LagOptions, folder: Path) -> tuple[list[float], dict[str, Uplift]]:
    """Return the seconds of each list that was waited for, and the uplifts by group of users."""
    views_per_user = 6.0
    made = HistoryOptions(
        options.n_users, options.n_items, views_per_user, (_NEW, _KNOWN), options.n_evaluated,
        options.seed,
    )  # fmt: skip
    history = make_history(made, DEFAULT_WEIGHTING)
    service = Service(history, folder, options.model)
    views = pairs_of(history)
    newest, groups = _newest(history, views)
    service.refresh(views.of(~newest))
    new_views = _NewViews(service, options, np.concatenate([*groups.values()]))
    with service.server("server") as lists, service.speed_layer():
        before = {name: lists.of(rows) for name, rows in groups.items()}
        after = views.of(newest)
        service.add(after)
        _wait_for(service, lists, np.unique(after.users))
        fresh = {name: lists.of(rows) for name, rows in groups.items()}
        seconds = [one for _ in range(options.n_segments) for one in new_views.seconds(lists)]
    return seconds, _uplifts(history, groups, before, fresh)


class _NewViews:
    """Segments of random new views.

    Users who are asked for have had no event since the snapshot: a fresh list is theirs.

    Args:
        service: The service.
        options: Number of segments, and of views in each.
        evaluated: Users who get none.
    """

    def __init__(self, service: Service, options: LagOptions, evaluated: Rows) -> None:
        self._service, self._n_views = service, options.n_views
        self._rng = np.random.default_rng(options.seed)
        users = np.setdiff1d(np.arange(len(service.user_ids)), evaluated)
        users = self._rng.permutation(users)
        n_asked = min(_N_ASKED * options.n_segments, len(users) // 2)
        self._unasked, self._others = users[:n_asked], users[n_asked:]

    def seconds(self, lists: ServerLists) -> Iterator[float]:
        """Write a segment, and yield the seconds until each list has it; take a second at least."""
        began = time.monotonic()
        asked, self._unasked = self._unasked[:_N_ASKED], self._unasked[_N_ASKED:]
        others = self._rng.choice(self._others, self._n_views - len(asked))
        users = np.concatenate([asked, others])
        at = np.full(len(users), int(time.time()))
        written = time.monotonic()
        self._service.add(Pairs(users, self._unseen_items(users), at))
        waiting = asked.tolist()
        while waiting:
            found = [row for row in waiting if lists.get(row)[0] == "fresh"]
            yield from [time.monotonic() - written] * len(found)
            waiting = [row for row in waiting if row not in found]
            self._service.check_patience(written)
            time.sleep(_POLL_SECONDS)
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))

    def _unseen_items(self, users: Rows) -> Rows:
        weights = self._service.history.interactions.weights
        n_items = weights.shape[1]
        items = self._rng.integers(0, n_items, len(users))
        for place, user in enumerate(users.tolist()):
            seen = weights.indices[weights.indptr[user] : weights.indptr[user + 1]]
            while items[place] in seen and len(seen) < n_items:
                items[place] = (items[place] + 1) % n_items
        return items


def _wait_for(service: Service, lists: ServerLists, rows: Rows) -> None:
    """Wait until these users have a fresh list."""
    began = time.monotonic()
    for row in rows.tolist():
        while lists.get(row)[0] != "fresh":
            service.check_patience(began)
            time.sleep(_POLL_SECONDS)


def _uplifts(
    history: History, groups: dict[str, Rows], before: dict[str, Rows], fresh: dict[str, Rows]
) -> dict[str, Uplift]:
    views, world = pairs_of(history), history.world
    n_items = len(world.items)
    seen = Seen(n_items, views.users * n_items + views.items)
    oracle = Oracle(Preferences(world), seen, world.items.popularity)
    found: dict[str, list[Any]] = {}
    for name, rows in groups.items():
        found[name] = [measured(oracle, rows, lists[name]) for lists in (before, fresh)]
    found["all"] = [
        type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))
        for parts in zip(*found.values(), strict=True)
    ]
    return {name: Uplift(*map(_uplift, values)) for name, values in found.items()}


def _newest(history: History, views: Pairs) -> tuple[Flags, dict[str, Rows]]:
    """Return the views that the snapshot does not read, and the evaluated users by group."""
    new, known = (history.evaluated[n].user_rows for n in (_NEW, _KNOWN))
    n_later = np.zeros(len(views.at), np.int64)
    for rows in np.split(np.arange(len(views.at)), history.interactions.weights.indptr[1:-1]):
        n_later[rows[np.argsort(-views.at[rows], kind="stable")]] = np.arange(len(rows))
    newest = np.isin(views.users, new) | (np.isin(views.users, known) & (n_later < _N_FRESH))
    has_view = np.unique(views.users)
    return newest, {"new": np.intersect1d(new, has_view), "known": np.intersect1d(known, has_view)}


def _uplift(values: Any) -> float:
    gained, gainable = values.expected - values.popular, values.best - values.popular
    return float(gained.sum() / gainable.sum()) if gainable.sum() else math.nan
