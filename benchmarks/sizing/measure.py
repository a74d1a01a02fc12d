"""One size, measured: a history is made, refreshed, pushed to a directory, and served.

world ─► history ─► refresh ─► push ─► serve, under load
         disk       seconds,   bytes   processor time
                    memory             a request
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

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
    with generated(shape, seed) as (folder, inputs):
        store = folder / "store"
        summary = time_refresh(store, inputs, shape.model).summary
        return Measured(
            shape,
            size_of(summary),
            summary["cpu_seconds"],
            summary["peak_mib"],
            sum(bytes_below(folder / "events" / kind) for kind in _RATED[: 1 + shape.is_rated]),
            bytes_below(snapshot_folder(store, current(store))),
            push(store, Remote(str(folder / "replica"))).n_bytes,
            _requests_per_core(store, folder, shape.users, serving_seconds),
        )


@contextlib.contextmanager
def generated(shape: Shape, seed: int) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder with a generated history, and the options of a refresh that name its files.

    Args:
        shape: Size of the generated service.
        seed: Random seed of the service.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{shape.views:,} views of {shape.users:,} users …", file=sys.stderr)
        history = HistoryOptions(views_per_user=shape.views / shape.users, is_parquet=True)
        write_history(make_world(shape.users, shape.items, seed, DAYS), folder, history)
        kinds = [folder / "events" / kind for kind in _RATED[: 1 + shape.is_rated]]
        inputs = ["--events", *map(str, kinds), "--catalogue", str(folder / "catalogue.jsonl")]
        yield folder, [*inputs, "--profiles", str(folder / "profiles.jsonl")]


def size_of(summary: Mapping[str, Any]) -> DataSize:
    """Return what a refresh has counted, from its summary."""
    rows = [one["n_rows"] for one in summary["inputs"] if one["use"] == "events"]
    return DataSize(summary["n_users"], summary["n_items"], *rows, *[0] * (2 - len(rows)))


def bytes_below(folder: Path, pattern: str = "*") -> int:
    """Return the bytes of the files below a folder whose names match a pattern."""
    return sum(file.stat().st_size for file in folder.rglob(pattern) if file.is_file())


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
