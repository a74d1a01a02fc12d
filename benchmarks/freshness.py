"""Seconds from an event to the list that has seen it, and how much better fresh lists are.

    a simulated world ─► history ─► refresh ─► snapshot ─► server, bare ◄── lists over HTTP
                     └─► newest views, a segment at a time ─► speed layer ─► fresh.mdb ──┘

A segment is written as the collector writes it, and its users are asked for until their list is
a fresh one. Uplift is 0 for the popular list and 1 for the best possible one, by the users'
true tastes: first of the lists of the snapshot, then of the fresh ones, of the same users.
"""

import argparse
import contextlib
import http.client
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Flags, Rows, Times
from batch.events.day_files import DayFile, rows_by_day, write_rows
from batch.events.event_types import EVENT_TYPES
from batch.events.parsed import VIEWS, to_table
from batch.interactions.weights import DEFAULT_WEIGHTING
from benchmarks.ceiling.history import History, HistoryOptions, make_history
from benchmarks.ceiling.report import measured
from benchmarks.harness.arguments import make_parser, non_negative_int, positive_int
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.processes import clean_environment
from benchmarks.harness.report import print_figure
from benchmarks.harness.servers import Command, MarqueeServer, Servers
from benchmarks.harness.tables import print_table
from benchmarks.simulator.live.audience.oracle import Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from store.layout import LIST_LENGTH

_NEW: Final = 1  # views of a user who is new to the snapshot
_KNOWN: Final = 4  # views of an evaluated user who is known to it
_N_FRESH: Final = 2  # newest of these, which the snapshot has not read
_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.01
_N_ASKED: Final = 8  # users of each segment whose lists are asked for
_QUICK: Final = {"users": 4_000, "items": 600, "evaluated": 300, "segments": 20, "views": 300}
_SIZES: Final = {
    "users": (50_000, "users of the world"),
    "items": (5_000, "items of the world"),
    "evaluated": (1_000, "maximum users whose lists are compared, new and known each"),
    "segments": (60, "segments of new views, one a second"),
    "views": (1_000, "new views in each segment"),
}
_EXAMPLE: Final = """example:
  python -m benchmarks.freshness --quick
  python -m benchmarks.freshness --users 100000 --items 10000
"""


class Pairs(NamedTuple):
    """Views, one a user and item.

    Attributes:
        users, items: (n,) rows in the world.
        at: (n,) seconds since 1970.
    """

    users: Rows
    items: Rows
    at: Times

    def of(self, is_selected: Flags) -> "Pairs":
        """Return the selected views."""
        return Pairs(*(column[is_selected] for column in self))


class Uplift(NamedTuple):
    """Uplift of the same users' lists.

    Attributes:
        before: Uplift of the lists of the snapshot, or of the fallback.
        after: Uplift of the fresh lists.
    """

    before: float
    after: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, and a line for each figure."""
    args = _parser().parse_args(arguments)
    if args.quick:
        vars(args).update(_QUICK)
    try:
        with tempfile.TemporaryDirectory() as folder:
            seconds, uplifts = _Run(args, Path(folder)).measure()
    except BenchmarkError as error:
        print(f"freshness: {error}", file=sys.stderr)
        return 1
    about = {name: getattr(args, name) for name in (*_SIZES, "model", "seed")}
    rows: list[Sequence[str]] = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        value = float(np.quantile(seconds, share))
        _print(f"seconds_{name}", value, "s", about | {"lists": len(seconds)})
        rows.append((f"event to list, {name}", f"{value:.2f} s", "", ""))
    for group, uplift in uplifts.items():
        gain = uplift.after - uplift.before
        metric = "uplift_gain" if group == "all" else f"uplift_gain_{group}"
        _print(metric, gain, "1", about | {"before": uplift.before, "after": uplift.after})
        figures = (f"{uplift.before:.3f}", f"{uplift.after:.3f}", f"{gain:+.3f}")
        rows.append((f"uplift, {group} users", *figures))
    print_table(("", "snapshot", "fresh", "gain"), rows)
    return 0


def _print(metric: str, value: float, unit: str, about: dict[str, Any]) -> None:
    print_figure("freshness", metric, round(value, 4), unit, subject="marquee", **about)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("freshness", __doc__, _EXAMPLE)
    for name, (default, meaning) in _SIZES.items():
        parser.add_argument(
            f"--{name}", type=positive_int, default=default, metavar="N",
            help=f"{meaning}, default: {default}",
        )  # fmt: skip
    parser.add_argument("--model", default="auto", metavar="MODEL", help="default: auto")
    parser.add_argument("--seed", type=non_negative_int, default=42, metavar="N", help="seed")
    parser.add_argument("--quick", action="store_true", help="a small world, under two minutes")
    return parser


class _Run:
    """One run of the benchmark.

    Args:
        args: Options.
        folder: Working directory.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self._args = args
        self._folder = folder
        self._store, self._events = folder / "store", folder / "events"
        options = HistoryOptions(
            args.users, args.items, 6.0, (_NEW, _KNOWN), args.evaluated, args.seed
        )
        self._history = make_history(options, DEFAULT_WEIGHTING)
        self._rng = np.random.default_rng(args.seed)
        self._n_segments = 0
        self._unasked = self._others = np.zeros(0, np.int64)  # users, set by `measure`
        self._user_ids = self._history.interactions.user_ids.to_pylist()
        self._item_row = {
            name: row for row, name in enumerate(self._history.interactions.item_ids.to_pylist())
        }

    def measure(self) -> tuple[list[float], dict[str, Uplift]]:
        """Return the seconds of each list that was waited for, and the uplifts by group."""
        views = _pairs(self._history)
        newest, groups = _newest(self._history, views)
        self._write_segment(views.of(~newest), None)
        users = np.setdiff1d(np.arange(len(self._user_ids)), np.concatenate([*groups.values()]))
        users = self._rng.permutation(users)
        n_asked = min(_N_ASKED * self._args.segments, len(users) // 2)
        self._unasked, self._others = users[:n_asked], users[n_asked:]
        self._refresh()
        after = views.of(newest)
        with self._serving() as connection:
            before = {name: self._lists(connection, rows) for name, rows in groups.items()}
            self._write_segment(after, self._next())
            self._wait_for(connection, np.unique(after.users))
            fresh = {name: self._lists(connection, rows) for name, rows in groups.items()}
            seconds = [one for _ in range(self._args.segments) for one in self._one(connection)]
        return seconds, self._uplifts(groups, before, fresh)

    def _one(self, connection: http.client.HTTPConnection) -> list[float]:
        """Write a segment of new views, and return the seconds until lists have them.

        Users who are asked for have had no event since the snapshot: a fresh list is theirs.
        """
        began = time.monotonic()
        asked, self._unasked = self._unasked[:_N_ASKED], self._unasked[_N_ASKED:]
        others = self._rng.choice(self._others, self._args.views - len(asked))
        users = np.concatenate([asked, others])
        at = np.full(len(users), int(time.time()))
        written = time.monotonic()
        self._write_segment(Pairs(users, self._unseen_items(users), at), self._next())
        waiting, seconds = asked.tolist(), list[float]()
        while waiting:
            found = [row for row in waiting if self._ask(connection, row)[0] == "fresh"]
            seconds += [time.monotonic() - written] * len(found)
            waiting = [row for row in waiting if row not in found]
            self._check_patience(written, waiting)
            time.sleep(_POLL_SECONDS)
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        return seconds

    def _unseen_items(self, users: Rows) -> Rows:
        weights = self._history.interactions.weights
        items = self._rng.integers(0, len(self._item_row), len(users))
        for place, user in enumerate(users.tolist()):
            seen = weights.indices[weights.indptr[user] : weights.indptr[user + 1]]
            while items[place] in seen and len(seen) < len(self._item_row):
                items[place] = (items[place] + 1) % len(self._item_row)
        return items

    def _check_patience(self, since: float, waiting: Sequence[int]) -> None:
        if waiting and time.monotonic() > since + _PATIENCE_SECONDS:
            log = (self._folder / "fresh.log").read_text()[-400:]
            raise BenchmarkError(f"user {self._user_ids[waiting[0]]}", "has no fresh list", log)

    def _refresh(self) -> None:
        catalogue = self._folder / "catalogue.jsonl"
        items = [{"id": name, "title": name, "runtime": 100} for name in self._item_row]
        catalogue.write_text("".join(json.dumps(item) + "\n" for item in items))
        command = [sys.executable, "-m", "batch", "refresh", "--store", str(self._store)]
        command += ["--catalogue", str(catalogue)]
        environment = clean_environment(
            MARQUEE_BATCH_MODEL=self._args.model, MARQUEE_BATCH_FOLD_IN="on"
        )
        done = subprocess.run(
            [*command, "--events", str(self._events)], env=environment, cwd=self._folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchmarkError("refresh", done.stderr.strip()[-400:], "see its message")

    @contextlib.contextmanager
    def _serving(self) -> Iterator[http.client.HTTPConnection]:
        """Run the server and the speed layer; yield a connection."""
        layer = [sys.executable, "-m", "stream", "fresh", "--store", str(self._store)]
        commands = [Command([*layer, "--events", str(self._events)])]
        environment = clean_environment(MARQUEE_FRESH_METRICS_PORT="0")
        with (
            MarqueeServer(self._store, self._folder, "--bare", "--workers", "1") as server,
            Servers("fresh", commands, folder=self._folder, environment=environment),
            contextlib.closing(http.client.HTTPConnection(*server.address)) as connection,
        ):
            yield connection

    def _ask(self, connection: http.client.HTTPConnection, row: int) -> tuple[str, str]:
        """Return source and body of a user's list."""
        connection.request("GET", f"/recommend/{self._user_ids[row]}")
        response = connection.getresponse()
        return response.headers["X-Marquee-Source"] or "", response.read().decode()

    def _wait_for(self, connection: http.client.HTTPConnection, rows: Rows) -> None:
        """Wait until these users have a fresh list."""
        began = time.monotonic()
        for row in rows.tolist():
            while self._ask(connection, row)[0] != "fresh":
                self._check_patience(began, [row])
                time.sleep(_POLL_SECONDS)

    def _lists(self, connection: http.client.HTTPConnection, rows: Rows) -> Rows:
        lists = np.full((len(rows), LIST_LENGTH), -1, np.int64)
        for place, row in enumerate(rows.tolist()):
            names = self._ask(connection, row)[1].split(",")
            lists[place, : len(names)] = [self._item_row[name] for name in names]
        return lists

    def _uplifts(
        self, groups: dict[str, Rows], before: dict[str, Rows], fresh: dict[str, Rows]
    ) -> dict[str, Uplift]:
        views, world = _pairs(self._history), self._history.world
        seen = Seen(len(self._item_row), views.users * len(self._item_row) + views.items)
        oracle = Oracle(Preferences(world), seen, world.items.popularity)
        found: dict[str, list[Any]] = {}
        for name, rows in groups.items():
            found[name] = [measured(oracle, rows, lists[name]) for lists in (before, fresh)]
        found["all"] = [
            type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))
            for parts in zip(*found.values(), strict=True)
        ]
        return {name: Uplift(*map(_uplift, values)) for name, values in found.items()}

    def _next(self) -> int:
        self._n_segments += 1
        return self._n_segments

    def _write_segment(self, views: Pairs, segment: int | None) -> None:
        """Write views as the collector writes them; without a number as days of their own."""
        ids = self._history.interactions
        unknown, once = pa.nulls(len(views.at), pa.int32()), np.ones(len(views.at), np.int32)
        columns = [
            ids.user_ids.take(pa.array(views.users)),
            ids.item_ids.take(pa.array(views.items)),
            unknown, *map(pa.array, (once, views.at, views.at)),
        ]  # fmt: skip
        kind = EVENT_TYPES[0]
        for day, rows in rows_by_day(kind, [to_table(columns, VIEWS)]):
            path = DayFile(kind, day, segment).path(self._events)
            path.parent.mkdir(parents=True, exist_ok=True)
            pending = self._folder / ".pending"
            write_rows(kind, pending, [rows])
            pending.replace(path)


def _pairs(history: History) -> Pairs:
    weights, at = history.interactions.weights, history.interactions.began_at
    assert at is not None
    users = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    return Pairs(users, weights.indices.astype(np.int64), at)


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


if __name__ == "__main__":
    sys.exit(main())
