"""A service day by day: a refresh, its lists, what users do with them, and the next refresh.

views so far ─► python -m batch refresh ─► lists ─► viewers react ─┐
    ▲                                       └─► measured           │
    └──────────────────── views and ratings of the day ◄───────────┘
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Rows
from batch.events.day_files import DayFile, rows_by_day, write_rows
from batch.events.event_types import EVENT_TYPES, EventType
from batch.events.parsed import RATINGS, VIEWS, to_table
from batch.interactions.weights import DEFAULT_WEIGHTING
from benchmarks.ceiling.history import N_DAYS, History, HistoryOptions, make_history
from benchmarks.ceiling.report import measured
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.processes import clean_environment
from benchmarks.simulator.clock import DAY_SECONDS, FIRST_DAY
from benchmarks.simulator.live.audience.oracle import Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import Viewers
from store.layout import LIST_LENGTH, POPULAR
from store.pointer import current
from store.snapshot import open_snapshot
from stream.watch.shown import concentration

_TYPES: Final = {kind.name: kind for kind in EVENT_TYPES}


class Day(NamedTuple):
    """Figures of one day.

    Attributes:
        coverage: Share of the catalogue in any list.
        gini: Gini index of the items in all lists.
        watched_gini: Gini index of all views so far.
        correlation: Pearson's correlation over the items of lists and views so far.
        uplift: 0 for the popular list, 1 for the best possible one, by true preferences.
        click_through: Share of the shown lists of which an item was taken.
    """

    coverage: float
    gini: float
    watched_gini: float
    correlation: float
    uplift: float
    click_through: float


class Service:
    """A simulated service with one set of rules.

    Args:
        folder: Directory of its events and its store.
        options: Size of its world.
        environment: Settings of the refresh, as environment variables.
        visit_share: Share of the users who ask for a list on a day.
    """

    def __init__(
        self,
        folder: Path,
        options: HistoryOptions,
        environment: Mapping[str, str],
        visit_share: float,
    ) -> None:
        self._store, self._events = folder / "store", folder / "events"
        self._folder = folder
        self._environment = clean_environment(**environment)
        self._visit_share = visit_share
        history = make_history(options, DEFAULT_WEIGHTING)
        self._user_ids = history.interactions.user_ids
        self._item_ids = history.interactions.item_ids
        self._row = {name: row for row, name in enumerate(self._item_ids.to_pylist())}
        users, items, at = _views_of(history)
        self._seen = Seen(len(self._row), users * len(self._row) + items)
        preferences = Preferences(history.world)
        self._viewers = Viewers(preferences, self._seen)
        self._oracle = Oracle(preferences, self._seen, history.world.items.popularity)
        self._rng = np.random.default_rng(options.seed)
        self._watched = np.bincount(items, minlength=len(self._row))
        folder.mkdir(parents=True)
        self._write("views", VIEWS, [users, items, None, np.ones_like(at), at, at])
        self._catalogue = folder / "catalogue.jsonl"
        self._catalogue.write_text("".join(_catalogue(history)))

    def days(self, n_days: int) -> Iterator[Day]:
        """Yield the figures of each day.

        Raises:
            BenchmarkError: A refresh failed.
        """
        for day in range(N_DAYS, N_DAYS + n_days):
            self._refresh()
            lists = self._lists()
            yield self._live(day, lists)

    def _live(self, day: int, lists: Rows) -> Day:
        everyone = np.arange(len(lists))
        values = measured(self._oracle, everyone, lists)
        visitors = np.flatnonzero(self._rng.random(len(lists)) < self._visit_share)
        reaction = self._viewers.react(visitors, lists[visitors], self._rng)
        shown = np.bincount(lists[lists >= 0], minlength=len(self._row))
        found = concentration(shown, self._watched)
        of_views = concentration(self._watched, self._watched)
        assert found is not None
        assert of_views is not None
        is_view = reaction.item >= 0
        self._add(day, visitors[is_view], reaction.item[is_view], reaction.minutes[is_view])
        is_rating = is_view & (reaction.stars > 0)
        at = self._times(day, int(is_rating.sum()))
        rated = [visitors[is_rating], reaction.item[is_rating], reaction.stars[is_rating] / 2, at]
        self._write("ratings", RATINGS, rated)
        gained, gainable = values.expected - values.popular, values.best - values.popular
        return Day(
            found.coverage, found.gini, of_views.gini, found.correlation,
            float(gained.sum() / gainable.sum()), float((reaction.rank > 0).mean()),
        )  # fmt: skip

    def _add(self, day: int, users: Rows, items: Rows, minutes: Rows) -> None:
        at = self._times(day, len(users))
        self._write(
            "views", VIEWS, [users, items, minutes, np.ones_like(at), at, at + 60 * minutes]
        )
        self._watched += np.bincount(items, minlength=len(self._row))

    def _times(self, day: int, number: int) -> Rows:
        begin = int(FIRST_DAY.astype(np.int64)) + day * DAY_SECONDS
        return begin + self._rng.integers(0, 20 * 3600, number)  # a view ends on its day

    def _refresh(self) -> None:
        command = [sys.executable, "-m", "batch", "refresh", "--store", str(self._store)]
        command += ["--catalogue", str(self._catalogue), "--events", str(self._events)]
        command += ["--override-gate", "every generation is served"]
        done = subprocess.run(
            command, env=self._environment, cwd=self._folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchmarkError("refresh", done.stderr.strip()[-400:], "see its message")

    def _lists(self) -> Rows:
        """Return (n_users, LIST_LENGTH) lists that the server would answer, -1 behind the end."""
        lists = np.full((len(self._user_ids), LIST_LENGTH), -1, np.int64)
        with open_snapshot(self._store, current(self._store)) as snapshot:
            popular = snapshot.fallback.get(POPULAR) or b""
            for place, user_id in enumerate(self._user_ids.to_pylist()):
                body = snapshot.users.get(user_id.encode()) or popular
                names = body.decode().split(",")
                lists[place, : len(names)] = [self._row[name] for name in names]
        return lists

    def _write(self, name: str, schema: pa.Schema, columns: Sequence[Any]) -> None:
        """Write events as the collector does, a file a day; None is a column of nulls."""
        users, items, *others = columns
        table = to_table(
            [
                self._user_ids.take(pa.array(users)), self._item_ids.take(pa.array(items)),
                *(pa.nulls(len(users), pa.int32()) if one is None else pa.array(one)
                  for one in others),
            ],
            schema,
        )  # fmt: skip
        kind: EventType = _TYPES[name]
        for day, rows in rows_by_day(kind, [table]):
            path = DayFile(kind, day).path(self._events)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(kind, path, [rows])


def _views_of(history: History) -> tuple[Rows, Rows, Rows]:
    weights, at = history.interactions.weights, history.interactions.began_at
    assert at is not None
    users = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    return users, weights.indices.astype(np.int64), at


def _catalogue(history: History) -> Iterator[str]:
    world = history.world
    ids = history.interactions.item_ids.to_pylist()
    for name, taste, runtime in zip(
        ids, world.items.tastes.argmax(axis=1).tolist(), world.items.runtimes.tolist(), strict=True
    ):
        about = {
            "id": name,
            "title": name,
            "runtime": int(runtime),
            "genres": [{"name": f"genre {taste}"}],
        }
        yield json.dumps(about) + "\n"
