"""Thirty nights of the scheduler in simulated time, through both changes of the clock, with faults.

python -m benchmarks.nights
python -m benchmarks.nights --quick

The refresh is the real one, of a small simulated world, and a server answers through all
nights. The clock is injected; jobs, processes, states and messages are real.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.harness.arguments import make_parser
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.processes import clean_environment
from benchmarks.harness.report import print_figure
from benchmarks.harness.servers import MarqueeServer
from benchmarks.harness.tables import print_table
from benchmarks.nights.outside import Clients, Inbox
from benchmarks.nights.plan import N_NIGHTS, N_QUICK_NIGHTS, Night, night_of, plan_of
from benchmarks.nights.service import STORE, make_service
from benchmarks.nights.session import RESUME
from cron.state import read_history

_CRASHED: Final = -9
_JOBS: Final = ("fetch", "refresh", "verify")
_ALL_RUNS: Final = 1 << 20
_SHOWN_CHARACTERS: Final = 400


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the nights; print a table and one line of what ran."""
    args = _parser().parse_args(arguments)
    n_nights = N_QUICK_NIGHTS if args.quick else N_NIGHTS
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _run(Path(folder), n_nights)
    except BenchmarkError as error:
        print(f"nights: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("nights", __doc__)
    parser.add_argument("--quick", action="store_true", help=f"{N_QUICK_NIGHTS} nights")
    return parser


def _run(folder: Path, n_nights: int) -> int:
    with Inbox() as inbox:
        make_service(folder, inbox.address)
        with (
            MarqueeServer(folder / STORE, folder, "--bare", "--workers", "1") as server,
            Clients(server.address) as clients,
        ):
            n_sessions = _live(folder, n_nights)
    nights = _nights(folder, inbox.texts, n_nights)
    n_wrong = _print_nights(nights)
    print_figure(
        "nights", "wrong_nights", n_wrong, "1", subject="marquee", nights=n_nights,
        runs=sum(len(getattr(night, job)) for night in nights.values() for job in _JOBS),
        messages=len(inbox.texts), starts_of_scheduler=n_sessions, requests=clients.n_requests,
        failed_requests=clients.n_failed,
    )  # fmt: skip
    return int(n_wrong > 0 or clients.n_failed > 0)


def _live(folder: Path, n_nights: int) -> int:
    """Start sessions of the scheduler until the nights are over; return their number."""
    n_sessions = 0
    while not n_sessions or (folder / RESUME).exists():
        n_sessions += 1
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.nights.session", str(n_nights)], cwd=folder,
            env=clean_environment(), stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in (0, _CRASHED):
            raise BenchmarkError("scheduler", done.stderr[-_SHOWN_CHARACTERS:], "see its log")
    return n_sessions


def _nights(folder: Path, texts: Sequence[str], n_nights: int) -> dict[int, Night]:
    """Return what happened in each night, from the history and the messages."""
    endings: Mapping[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in read_history(folder / "var/cron", _ALL_RUNS):
        night = night_of(datetime.fromisoformat(run["began"]))
        endings[run["job"]][night].append(run["ending"])
    messages: dict[int, list[str]] = defaultdict(list)
    for text in texts:
        number, _, name = text.partition(" ")
        messages[int(number)].append(name)
    return {
        number: Night(
            plan_of(number).fault,
            **{job: tuple(endings[job][number]) for job in _JOBS},
            messages=tuple(messages[number]),
        )
        for number in range(1, n_nights + 1)
    }


def _print_nights(nights: Mapping[int, Night]) -> int:
    """Print a table of what happened; return the number of nights that differ from the plan."""
    n_wrong, rows = 0, list[Sequence[str]]()
    for number, night in nights.items():
        is_wrong = night != plan_of(number)
        n_wrong += is_wrong
        cells = (", ".join(getattr(night, column)) for column in (*_JOBS, "messages"))
        rows.append((str(number), night.fault, *cells, "wrong" if is_wrong else ""))
    print_table(("night", "fault", *_JOBS, "messages", ""), rows)
    return n_wrong


if __name__ == "__main__":
    sys.exit(main())
