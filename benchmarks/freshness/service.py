"""A service of a simulated world: its files of events, a store, a server and a speed layer."""

import contextlib
import http.client
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Flags, Rows, Times
from batch.events.day_files import DayFile, rows_by_day, write_rows
from batch.events.event_types import EVENT_TYPES
from batch.events.parsed import VIEWS, to_table
from batch.interactions.build import Interactions
from benchmarks.ceiling.history import History
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.processes import clean_environment
from benchmarks.harness.servers import Address, Command, MarqueeServer, Servers, free_port
from store.layout import LIST_LENGTH

_MAX_LOG_CHARACTERS: Final = 400
_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.01
_TICK_SECONDS: Final = 0.25  # two ticks of a worker, and some
_READ: Final = re.compile(r'^marquee_fresh_files_total\{part="segment"\} (\S+)$', re.MULTILINE)


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


class Service:
    """A store of a simulated world, and the partitions of its events.

    Args:
        history: World and views.
        folder: Working directory.
        model: Model of the lists.

    Attributes:
        store: Directory of the store.
        user_ids: (n_users,) user id of each row.
        item_row: Row of each item id.
    """

    def __init__(self, history: History, folder: Path, model: str) -> None:
        self.history = history
        self.store = folder / "store"
        self.user_ids: list[str] = history.interactions.user_ids.to_pylist()
        names = history.interactions.item_ids.to_pylist()
        self.item_row = {name: row for row, name in enumerate(names)}
        self._folder, self._events, self._model = folder, folder / "events", model
        self._n_segments = 0

    def refresh(self, views: Pairs) -> None:
        """Publish a snapshot of these views, with a catalogue and all profiles.

        Raises:
            BenchmarkError: The refresh failed.
        """
        self._write(views, None)
        catalogue = [{"id": name, "title": name, "runtime": 100} for name in self.item_row]
        profiles = [
            {"user_id": name, "age": one.age, "gender": one.gender, "occupation": one.occupation}
            for name, one in self.history.profiles.items()
        ]
        command = [sys.executable, "-m", "batch", "refresh", "--store", str(self.store)]
        command += ["--events", str(self._events)]
        for name, records in (("catalogue", catalogue), ("profiles", profiles)):
            path = self._folder / f"{name}.jsonl"
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
            command += [f"--{name}", str(path)]
        environment = clean_environment(MARQUEE_BATCH_MODEL=self._model, MARQUEE_BATCH_FOLD_IN="on")
        done = subprocess.run(
            command, env=environment, cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            error = done.stderr.strip()[-_MAX_LOG_CHARACTERS:]
            raise BenchmarkError("refresh", error, "see its message")

    def add(self, views: Pairs) -> None:
        """Write views beside the days, as the collector writes them."""
        self._n_segments += 1
        self._write(views, self._n_segments)

    @contextlib.contextmanager
    def speed_layer(self) -> Iterator[Callable[[], None]]:
        """Run the speed layer; yield a function that waits until all views are in lists."""
        command = [sys.executable, "-m", "stream", "fresh", "--store", str(self.store)]
        port = free_port()
        environment = clean_environment(MARQUEE_FRESH_METRICS_PORT=str(port))
        commands = [Command([*command, "--events", str(self._events)])]

        def wait() -> None:
            began = time.monotonic()
            while self._n_read(port) < self._n_segments:
                self.check_patience(began)
                time.sleep(_POLL_SECONDS)

        with Servers("fresh", commands, folder=self._folder, environment=environment):
            yield wait

    @contextlib.contextmanager
    def server(self, name: str, *, has_fresh: bool = True) -> Iterator["ServerLists"]:
        """Run a server, bare, with one worker; yield its lists.

        Args:
            name: Name of its folder.
            has_fresh: Whether it answers fresh lists.
        """
        folder = self._folder / name
        folder.mkdir()
        hours = 24 if has_fresh else 0
        (folder / "marquee.toml").write_text(f"[serve]\nfresh_hours = {hours}\n")
        with (
            MarqueeServer(self.store, folder, "--bare", "--workers", "1") as server,
            contextlib.closing(ServerLists(self, server.address)) as lists,
        ):
            yield lists

    def check_patience(self, since: float) -> None:
        """Raise if fresh lists are waited for since too long a time, of the monotonic clock."""
        if time.monotonic() > since + _PATIENCE_SECONDS:
            log = (self._folder / "fresh.log").read_text()[-_MAX_LOG_CHARACTERS:]
            raise BenchmarkError("speed layer", f"no list in {_PATIENCE_SECONDS:.0f} s", log)

    def _n_read(self, port: int) -> int:
        with contextlib.suppress(OSError):  # it has not started yet
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                found = _READ.search(answer.read().decode())
            return int(float(found[1])) if found else 0
        return -1

    def _write(self, views: Pairs, segment: int | None) -> None:
        """Write views as a segment, without a number as days of their own."""
        columns = view_columns(self.history.interactions, views)
        for day, rows in rows_by_day(EVENT_TYPES[0], [to_table(columns, VIEWS)]):
            path = DayFile(EVENT_TYPES[0], day, segment).path(self._events)
            path.parent.mkdir(parents=True, exist_ok=True)
            pending = self._folder / ".pending"
            write_rows(EVENT_TYPES[0], pending, [rows])
            pending.replace(path)


class ServerLists:
    """Lists of one server, over HTTP.

    Args:
        service: The service.
        address: Address of the server.
    """

    def __init__(self, service: Service, address: Address) -> None:
        self._service = service
        self._connection = http.client.HTTPConnection(*address)

    def get(self, row: int) -> tuple[str, str]:
        """Return source and body of a user's list."""
        self._connection.request("GET", f"/recommend/{self._service.user_ids[row]}")
        response = self._connection.getresponse()
        return response.headers["X-Marquee-Source"] or "", response.read().decode()

    def of(self, rows: Rows) -> Rows:
        """Return (n, 20) item rows of users' lists, -1 for no item."""
        lists = np.full((len(rows), LIST_LENGTH), -1, np.int64)
        for place, row in enumerate(rows.tolist()):
            names = self.get(row)[1].split(",")
            lists[place, : len(names)] = [self._service.item_row[name] for name in names]
        return lists

    def renew(self) -> None:
        """Return once the worker's timer, ten times a second, has renewed its transaction."""
        time.sleep(_TICK_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def view_columns(ids: Interactions, views: Pairs) -> list[pa.Array]:
    """Return the columns of a table of views, of unknown minutes."""
    once = np.ones(len(views.at), np.int32)
    return [
        ids.user_ids.take(pa.array(views.users)),
        ids.item_ids.take(pa.array(views.items)),
        pa.nulls(len(views.at), pa.int32()),
        *map(pa.array, (once, views.at, views.at)),
    ]


def pairs_of(history: History) -> Pairs:
    """Return the views of a history."""
    weights, at = history.interactions.weights, history.interactions.began_at
    assert at is not None
    users = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    return Pairs(users, weights.indices.astype(np.int64), at)
