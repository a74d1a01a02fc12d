"""The footprint of one worker: private memory over millions of requests, time to replace it.

    python -m benchmarks.serving.footprint > footprint.jsonl

The memory is `Private_Dirty` of /proc/PID/smaps_rollup: pages of this process alone,
without the mapped pages of the snapshot. The replacement is timed from SIGKILL to the
first answer from a list on a new connection.
"""

import contextlib
import http.client
import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.arguments import make_parser, positive_int
from benchmarks.harness.processes import private_mib, wait_until, workers_of
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.serving.__main__ import FOLDER
from benchmarks.serving.data import SEED, Data, prepare
from benchmarks.serving.installed import Installed
from benchmarks.serving.running import Runner, Running, two_cores
from benchmarks.serving.subjects import SUBJECTS
from benchmarks.serving.targets import write_targets
from benchmarks.serving.wrk import run_wrk

_SECONDS: Final = 10
_N_KILLS: Final = 10
_GOALS: Final = {"private_mib": 60.0, "grown_mib": 1.0, "replaced_seconds": 0.5}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return its exit status: 0 measured, whether the goals are met or not."""
    parser = make_parser("serving.footprint", __doc__)
    parser.add_argument("--users", type=positive_int, default=1_000_000, metavar="N")
    parser.add_argument("--requests", type=positive_int, default=10_000_000, metavar="N")
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR")
    args = parser.parse_args(arguments)
    installed = Installed(args.folder.absolute(), may_install=True)
    installed.require(["wrk"])
    data = prepare(args.folder, args.users, n_items=27_000)
    [subject] = [one for one in SUBJECTS if one.name == "marquee-bare"]
    with Runner(data, two_cores(), installed) as runner:
        [running] = runner.start([subject])
        replaced = [_replace_seconds(running, data) for _ in range(_N_KILLS)]
        seen, n_requests = _memory(running, data, runner.folder, installed, args.requests)
    _print(args.users, n_requests, replaced, seen)
    return 0


def _memory(
    running: Running, data: Data, folder: Path, installed: Installed, min_requests: int
) -> tuple[list[float], int]:
    """Return the worker's MiB after each round of load, and the requests of all rounds."""
    targets = write_targets(
        folder / "targets", (f"/recommend/{user}" for user in range(data.n_users))
    )
    worker, n_requests, seen = _worker_of(running), 0, list[float]()
    while n_requests < min_requests:
        load = run_wrk(
            *(running.address, targets),
            core=two_cores().load,
            seconds=_SECONDS,
            seed=SEED + len(seen),
            environment=installed.environment(),
        )
        n_requests += load.n_requests
        seen.append(private_mib(worker))
        print(f"{n_requests:,} requests, {seen[-1]:.1f} MiB", file=sys.stderr)
    return seen, n_requests


def _replace_seconds(running: Running, data: Data) -> float:
    """Kill the worker and return the seconds until the next answer from a list."""
    target = f"/recommend/{data.n_users - 1}"
    os.kill(_worker_of(running), signal.SIGKILL)
    began = time.perf_counter()
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(*running.address, timeout=10)
            connection.request("GET", target)
            if connection.getresponse().headers["X-Marquee-Source"] == "list":
                return time.perf_counter() - began


def _worker_of(running: Running) -> int:
    """Return the process id of the only worker, once it runs."""
    [server] = running.pids
    return wait_until(lambda: workers_of(server))[0].pid


def _print(n_users: int, n_requests: int, replaced: list[float], seen: list[float]) -> None:
    figures = {
        "private_mib": (max(seen), "MiB"),
        "grown_mib": (seen[-1] - seen[0], "MiB"),
        "replaced_seconds": (statistics.median(replaced), "s"),
    }
    print_table(
        ("figure", "seen", "goal", "met"),
        [
            (name, f"{value:.3f} {unit}", f"< {_GOALS[name]:g}", str(value < _GOALS[name]))
            for name, (value, unit) in figures.items()
        ],
    )
    for name, (value, unit) in figures.items():
        print_figure(
            *("footprint", name, round(value, 4), unit),
            subject="marquee-bare",
            users=n_users,
            requests=n_requests,
            kills=_N_KILLS,
            seed=SEED,
        )


if __name__ == "__main__":
    sys.exit(main())
