"""A fetch of every user and film from the simulator's APIs, with all that goes wrong there.

python -m benchmarks.fetch [--quick]

The APIs have 5 % odd fields, refuse more than 8 requests a second, and fail for a minute. The
fetch is killed half-way and started again. Every id that exists must be in the copy as the API
answers it, and every violation counted as in the simulator's own list; else this fails.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.arguments import make_parser
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.apis.lookup import (
    ItemLookup,
    UserLookup,
    item_defects,
    user_defects,
)
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.apis.server import ApiOptions
from benchmarks.simulator.world.world import World, make_world

_SEED: Final = 7
_N_DAYS: Final = 7
_SECOND: Final = _N_DAYS * DAY_SECONDS  # all users and items exist then
_OPTIONS: Final = ApiOptions(per_second=8, burst=16, defect_share=0.05)
_CLIENT_RATE: Final = 10  # requests a second: more than the APIs allow
_UNKNOWN_SHARE: Final = 0.01  # ids of the events that the APIs do not have
_POLL_SECONDS: Final = 0.05
_START_SECONDS: Final = 600  # within which the fetch must have begun


class Size(NamedTuple):
    """Size of a run.

    Attributes:
        n_users: Number of users.
        n_items: Number of films.
        outage_seconds: Length of the outage.
    """

    n_users: int
    n_items: int
    outage_seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch everything, check it against the simulator, and print the figures."""
    parser = make_parser("fetch", __doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 users, 500 films, 3 s outage")
    quick = parser.parse_args(arguments).quick
    size = Size(2_000, 500, 3.0) if quick else Size(100_000, 27_000, 60.0)
    world = make_world(size.n_users, size.n_items, _SEED, _N_DAYS)
    with tempfile.TemporaryDirectory() as folder, Apis(world, _OPTIONS) as apis:
        apis.set_clock(_SECOND)
        _write_events(world, Path(folder) / "events.parquet")
        began = time.perf_counter()
        summary = _fetch(apis, Path(folder), size)
        seconds = time.perf_counter() - began
        _check(world, Path(folder), summary)
        _report(summary, seconds, Path(folder), size)
    return 0


def _write_events(world: World, path: Path) -> None:
    """Write a pair of user and item for each id, and some that do not exist."""
    users = [str(user) for user in world.users.ids]
    users += [str(10**9 + row) for row in range(int(_UNKNOWN_SHARE * len(users)))]
    items = list(world.items.ids)
    items += [f"noise+{row}" for row in range(int(_UNKNOWN_SHARE * len(items)))]
    cycled = [items[row % len(items)] for row in range(len(users))]
    pq.write_table(pa.table({"user_id": users, "item_id": cycled}), path)


def _fetch(apis: Apis, folder: Path, size: Size) -> dict[str, Any]:
    """Fetch through an outage, kill the fetch, and return the summary of the second one."""
    journal = folder / "var/api/users.journal"
    process = _start(apis, folder)
    _wait_for(folder / "var/api/movies.journal", 1, process)
    apis.set_outage("503")
    end = threading.Timer(size.outage_seconds, apis.set_outage, [""])
    end.start()
    try:
        _wait_for(journal, 60 * size.n_users, process)  # about half of the users
        process.kill()
    finally:
        end.join()
        process.communicate()
    output, errors = _start(apis, folder).communicate()
    if not output:
        raise BenchmarkError("python -m batch fetch", f"has failed: {errors}")
    summary: dict[str, Any] = json.loads(output)
    return summary


def _start(apis: Apis, folder: Path) -> "subprocess.Popen[str]":
    base = f"http://{apis.host}:{apis.port}"
    settings = {"USER_URL": f"{base}/user", "MOVIE_URL": f"{base}/movie", "RATE": f"{_CLIENT_RATE}"}
    environ = {f"MARQUEE_FETCH_{name}": text for name, text in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "batch", "fetch", "--events", "events.parquet", "--json"],
        cwd=folder,
        env=os.environ | environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(file: Path, n_bytes: int, process: "subprocess.Popen[str]") -> None:
    """Wait until a fetch has written some bytes of a file."""
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists() or file.stat().st_size < n_bytes:
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError(file, "is not written", "look at the messages of the fetch")
        time.sleep(_POLL_SECONDS)


def _check(world: World, folder: Path, summary: dict[str, Any]) -> None:
    """Compare copies and violations with the simulator's."""
    edition, share = _OPTIONS.log_format, _OPTIONS.defect_share
    users = UserLookup(world.users, world.seed, edition, share)
    items = ItemLookup(world.items, world.seed, edition, share)
    of_users = user_defects(world.users, world.seed, edition, share)
    of_items = item_defects(world.items, world.seed, edition, share)
    for name, lookup, ids, defects in (
        ("users", users, [str(user) for user in world.users.ids], of_users),
        ("movies", items, list(world.items.ids), of_items),
    ):
        table = pq.read_table(folder / f"var/api/{name}.parquet").drop_null()
        copied = dict(zip(table["id"].to_pylist(), table["doc"].to_pylist(), strict=True))
        answers = zip(ids, lookup.find(ids, _SECOND), strict=True)
        n_wrong = sum(
            json.loads(copied.pop(one, "0")) != json.loads(a or "1") for one, a in answers
        )
        if n_wrong or copied:
            problem = f"{n_wrong:,} {name} are missing or differ, {len(copied):,} are too many"
            raise BenchmarkError(name, problem, "compare the copy with the API")
        if summary[name]["violations"] != _counted(defects):
            raise BenchmarkError(name, "violations differ from the simulator's list", "print both")


def _counted(defects: Iterable[dict[str, str]]) -> dict[str, dict[str, int]]:
    """Return the number of defects of each kind, by field."""
    counts: dict[str, Counter[str]] = {}
    for fields in defects:
        for name, kind in fields.items():
            counts.setdefault(name, Counter())[kind] += 1
    return {name: dict(kinds) for name, kinds in counts.items()}


def _report(summary: dict[str, Any], seconds: float, folder: Path, size: Size) -> None:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    inputs = {"n_users": size.n_users, "n_items": size.n_items, "seed": _SEED,
              "outage_seconds": size.outage_seconds, "defect_share": _OPTIONS.defect_share,
              "api_requests_per_second": _OPTIONS.per_second}  # fmt: skip
    rows = []
    for name in ("movies", "users"):
        of = summary[name]
        n_violations = sum(n for kinds in of["violations"].values() for n in kinds.values())
        mib = (folder / f"var/api/{name}.parquet").stat().st_size / 2**20
        figures = {"found": of["cached"], "resumed": of["resumed"], "violations": n_violations}
        for metric, value in figures.items():
            print_figure("fetch", metric, value, "1", subject=name, **inputs)
        rows.append([name, *(f"{value:,}" for value in figures.values()), f"{mib:.1f}"])
    print_figure("fetch", "seconds", seconds, "s", subject="both", **inputs)
    peak, cpu = usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime
    print_figure("fetch", "peak", peak, "MiB", subject="both", **inputs)
    print_table(["API", "found", "before the kill", "violations", "copy, MiB"], rows)
    print(f"{seconds:.0f} s, {cpu:.1f} CPU s (the APIs' not included), {peak:.0f} MiB at most",
          file=sys.stderr)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
