"""One size, measured: a history is made, refreshed, pushed to a directory, and served.

world ─► history ─► refresh ─► push ─► serve, under load
         disk       seconds,   bytes   processor time
                    memory             a request
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from batch.capacity.sizes import DataSize
from benchmarks.harness.servers import MarqueeServer
from benchmarks.refresh.nights import DAYS
from benchmarks.refresh.timed import time_refresh
from benchmarks.serving.wrk import run_wrk
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.world import make_world
from store.layout import snapshot_folder
from store.pointer import current
from store.push import push
from store.remote import Remote

_MAX_TARGETS: Final = 200_000
_RATED: Final = ("views", "ratings")


class Shape(NamedTuple):
    """A size to measure.

    Attributes:
        users: Number of users.
        items: Number of items.
        views: Number of views.
        model: Value of `[batch] model`.
        is_rated: Whether there are ratings, two for three views.
        is_held_out: Whether the models are checked with it, and not fitted to it.
    """

    users: int
    items: int
    views: int
    model: str
    is_rated: bool = True
    is_held_out: bool = False


class Measured(NamedTuple):
    """Time, memory, disk and network of one size.

    Attributes:
        shape: What was generated.
        size: What the refresh counted in it.
        cpu_seconds: Processor time by stage, of all threads.
        peak_mib: Peak memory by stage.
        history_bytes: Size of the events on disk, Parquet by day.
        snapshot_bytes: Size of the snapshot.
        pushed_bytes: Bytes sent to an empty replica.
        requests_per_core: Answers per second of the server's processor time; 0 if not measured.
    """

    shape: Shape
    size: DataSize
    cpu_seconds: Mapping[str, float]
    peak_mib: Mapping[str, float]
    history_bytes: int
    snapshot_bytes: int
    pushed_bytes: int
    requests_per_core: float

    def as_json(self) -> str:
        """Return one line, which `from_json` reads."""
        parts = {"shape": self.shape._asdict(), "size": self.size._asdict()}
        return json.dumps(self._asdict() | parts)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return what `as_json` wrote.

        Raises:
            ValueError: The line is not such a one.
        """
        try:
            found = json.loads(line)
            parts = {"shape": Shape(**found["shape"]), "size": DataSize(**found["size"])}
            return cls(**found | parts)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a measurement: {error}") from error


def measure(shape: Shape, seed: int, serving_seconds: int) -> Measured:
    """Measure one size, cold: without an earlier snapshot.

    Args:
        shape: Size of the generated service, and model.
        seed: Random seed of the service.
        serving_seconds: Length of the load on the server; 0: serving is not measured.

    Raises:
        SystemExit: The refresh failed.
        BenchmarkError: The load failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{shape.views:,} views of {shape.users:,} users …", file=sys.stderr)
        history = HistoryOptions(views_per_user=shape.views / shape.users, is_parquet=True)
        world = make_world(shape.users, shape.items, seed, DAYS)
        write_history(world, folder, history)
        store = folder / "store"
        kinds = [folder / "events" / kind for kind in _RATED[: 1 + shape.is_rated]]
        inputs = ["--events", *map(str, kinds), "--catalogue", str(folder / "catalogue.jsonl")]
        inputs += ["--profiles", str(folder / "profiles.jsonl")]
        summary = time_refresh(store, inputs, shape.model).summary
        rows = [one["n_rows"] for one in summary["inputs"] if one["use"] == "events"]
        return Measured(
            shape,
            DataSize(summary["n_users"], summary["n_items"], *rows, *[0] * (2 - len(rows))),
            summary["cpu_seconds"],
            summary["peak_mib"],
            sum(map(_size, kinds)),
            _size(snapshot_folder(store, current(store))),
            push(store, Remote(str(folder / "replica"))).n_bytes,
            _requests_per_core(store, folder, shape.users, serving_seconds),
        )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _requests_per_core(store: Path, folder: Path, n_users: int, seconds: int) -> float:
    """Return the answers to random users per second of the processor time of one worker."""
    if not seconds:
        return 0.0
    targets = folder / "targets"
    users = range(1, n_users + 1, -(-n_users // _MAX_TARGETS))
    targets.write_text("".join(f"/recommend/{user}\n" for user in users))
    core = max(os.sched_getaffinity(0))
    with MarqueeServer(store, folder, "--bare", "--workers", "1") as server:

        def load(seconds: int) -> int:
            environment = dict(os.environ)
            return run_wrk(
                server.address, targets, core=core, seconds=seconds, seed=1, environment=environment
            ).n_requests

        load(seconds=1)  # fills the caches
        before = server.core_seconds()
        return load(seconds) / (server.core_seconds() - before)
