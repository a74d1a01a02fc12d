"""What one worker costs: its own memory, over millions of requests, and the time to replace it.

    python -m benchmarks.serving.footprint > footprint.jsonl

The memory is `Private_Dirty` of /proc/PID/smaps_rollup: what this process alone holds,
without the pages of the snapshot, which are the file's. The replacement is timed from SIGKILL
to the first answer out of a list on a new connection.
"""

import argparse
import contextlib
import http.client
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.report import print_figure, print_table
from benchmarks.serving.data import SEED, Data, prepare
from benchmarks.serving.installed import Installed
from benchmarks.serving.running import Runner, Running, two_cores
from benchmarks.serving.subjects import SUBJECTS
from benchmarks.serving.targets import Address, write_targets
from benchmarks.serving.wrk import run_wrk

_FOLDER: Final = Path("var/benchmarks/serving")
_SECONDS: Final = 10
_N_KILLS: Final = 10
_GOALS: Final = {"private_mib": 60.0, "grown_mib": 1.0, "replaced_seconds": 0.5}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return its exit status: 0 measured, whether the goals hold or not."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.footprint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--requests", type=int, default=10_000_000, metavar="N")
    parser.add_argument("--folder", type=Path, default=_FOLDER, metavar="DIR")
    given = parser.parse_args(arguments)
    installed = Installed(given.folder.absolute(), may_install=True)
    installed.require(["wrk"])
    data = prepare(given.folder, given.users, n_items=27_000)
    [subject] = [one for one in SUBJECTS if one.name == "marquee-bare"]
    with Runner(data, two_cores(), installed) as runner:
        [running] = runner.start([subject])
        replaced = [_replaced_seconds(running.address, data) for _ in range(_N_KILLS)]
        seen, n_requests = _memory(running, data, runner.folder, installed, given.requests)
    _print(given.users, n_requests, replaced, seen)
    return 0


def _memory(
    running: Running, data: Data, folder: Path, installed: Installed, n_wanted: int
) -> tuple[list[float], int]:
    """Return the worker's MiB after each round of load, and the requests of them all."""
    targets = write_targets(
        folder / "targets", (f"/recommend/{user}" for user in range(data.n_users))
    )
    worker, n_requests, seen = _worker_of(running.address), 0, list[float]()
    while n_requests < n_wanted:
        load = run_wrk(
            *(running.address, targets),
            core=two_cores().load,
            seconds=_SECONDS,
            seed=SEED + len(seen),
            environment=installed.environment(),
        )
        n_requests += load.n_requests
        seen.append(_private_mib(worker))
        print(f"{n_requests:,} requests, {seen[-1]:.1f} MiB", file=sys.stderr)
    return seen, n_requests


def _replaced_seconds(address: Address, data: Data) -> float:
    """Kill the worker and return how long it takes until somebody answers out of a list."""
    target = f"/recommend/{data.n_users - 1}"
    os.kill(_worker_of(address), signal.SIGKILL)
    began = time.perf_counter()
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(*address, timeout=10)
            connection.request("GET", target)
            if connection.getresponse().headers["X-Marquee-Source"] == "list":
                return time.perf_counter() - began


def _worker_of(address: Address) -> int:
    """Return the pid of the only child of the server that listens there."""
    while True:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                children = (entry / f"task/{entry.name}/children").read_text().split()
                if b"serve" in command and b"%d" % address.port in command and children:
                    return int(children[0])


def _private_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [kib] = re.findall(r"Private_Dirty:\s+(\d+) kB", text)
    return int(kib) / 1024


def _print(n_users: int, n_requests: int, replaced: list[float], seen: list[float]) -> None:
    figures = {
        "private_mib": (max(seen), "MiB"),
        "grown_mib": (seen[-1] - seen[0], "MiB"),
        "replaced_seconds": (statistics.median(replaced), "s"),
    }
    print_table(
        ("figure", "seen", "goal", "holds"),
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
