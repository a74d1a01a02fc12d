"""Requests per second of thirteen servers, each on one core, for random users.

    server core    all processes of one subject
    load core      wrk: one thread, 16 keep-alive connections, random users

All subjects run side by side and alternate: in every round each is loaded for some
seconds while the others are idle. Each figure is the median of the rounds, each
ratio the median of the rounds' ratios. On a shared machine, requests per second of
processor time vary less than requests per second; both are printed.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.harness.arguments import make_parser, positive_int, some_of
from benchmarks.harness.errors import BenchmarkError, LoadError
from benchmarks.serving.data import SEED, Data, prepare
from benchmarks.serving.figures import Seen
from benchmarks.serving.installed import Installed
from benchmarks.serving.running import Runner, Running, two_cores
from benchmarks.serving.subjects import SUBJECTS
from benchmarks.serving.tables import print_figures, print_tables
from benchmarks.serving.targets import write_targets
from benchmarks.serving.wrk import CONNECTIONS, run_wrk

FOLDER: Final = Path("var/benchmarks/serving")
_EXAMPLE: Final = """example:
  python -m benchmarks.serving > serving.jsonl
  python -m benchmarks.serving --quick --subjects marquee-bare,bare-bjoern-lmdb

Exit status: 0 measured, whether the goals are met or not; 1 something could not be
measured; 2 wrong usage."""


class _Plan(NamedTuple):
    """Size of a run.

    Attributes:
        users: Number of users with a list.
        rounds: Number of rounds.
        seconds: Seconds per subject in each round.
    """

    users: int
    rounds: int
    seconds: int


class _Load(NamedTuple):
    """The load generator.

    Attributes:
        core: Core that wrk is pinned to.
        environment: Environment of wrk.
        folder: Folder for the files of targets.
    """

    core: int
    environment: Mapping[str, str]
    folder: Path


_FULL: Final = _Plan(users=1_000_000, rounds=11, seconds=3)
_QUICK: Final = _Plan(users=50_000, rounds=2, seconds=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    args = _parser().parse_args(arguments)
    preset = _QUICK if args.quick else _FULL
    plan = _Plan(*(getattr(args, name) or getattr(preset, name) for name in _Plan._fields))
    installed = Installed(args.folder, may_install=not args.quick)
    chosen = [subject for subject in SUBJECTS if subject.name in args.subjects]
    try:
        cores = two_cores()
        installed.require(["wrk"])
        data = prepare(args.folder, plan.users, args.items)
        with Runner(data, cores, installed) as runner:
            running = list(runner.start(chosen))
            load = _Load(cores.load, installed.environment(), runner.folder)
            rounds = _measure(running, plan, data, load)
    except BenchmarkError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    details = {
        "n_users": data.n_users,
        "n_items": data.n_items,
        "list_bytes": data.mean_list_bytes(),
        "connections": CONNECTIONS,
        "n_rounds": plan.rounds,
        "seconds": plan.seconds,
        "seed": SEED,
        "n_cpus": len(os.sched_getaffinity(0)),
        "wrk": installed.version("wrk"),
    }
    versions = {
        subject.name: subject.version(installed) for subject in chosen if subject.name in rounds
    }
    print_tables(rounds, versions)
    print_figures(rounds, versions, details)
    return 1 if runner.n_refused or len(rounds) < len(running) else 0


def _measure(
    running: Sequence[Running], plan: _Plan, data: Data, load: _Load
) -> dict[str, list[Seen]]:
    """Load all subjects in alternation; a subject that fails under load has no figures."""
    targets = {
        target: write_targets(
            load.folder / f"targets-{number}", (target.format(user) for user in range(data.n_users))
        )
        for number, target in enumerate({one.subject.target for one in running})
    }
    rounds: dict[str, list[Seen]] = {one.subject.name: [] for one in running}
    for number in range(plan.rounds + 1):  # round 0 warms up, and is not counted
        print(f"round {number} of {plan.rounds}", file=sys.stderr)
        first = number % max(len(running), 1)  # no subject always follows the same other
        for one in [*running[first:], *running[:first]]:
            name = one.subject.name
            if name not in rounds:
                continue
            before = one.core_seconds()
            try:
                seen = run_wrk(
                    *(one.address, targets[one.subject.target]),
                    core=load.core,
                    seconds=plan.seconds,
                    seed=SEED + number,
                    environment=load.environment,
                )
            except LoadError as error:
                print(f"REFUSED: {name}: {error}", file=sys.stderr)
                del rounds[name]
                continue
            if number:
                rounds[name].append(Seen(seen, one.core_seconds() - before))
    return rounds


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("serving", __doc__, _EXAMPLE)
    names = [subject.name for subject in SUBJECTS]
    parser.add_argument(
        "--subjects", type=some_of(names, "subject"), default=names, metavar="A,B",
        help=f"some of {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument(
        "--quick",
        action="store_true",
        help="50,000 users, 2 rounds of 1 s, only installed peers",
    )
    parser.add_argument("--users", type=positive_int, metavar="N", help="default: 1000000")
    parser.add_argument(
        "--items", type=positive_int, default=27_000, metavar="N", help="default: 27000"
    )
    parser.add_argument("--rounds", type=positive_int, metavar="N", help="default: 11")
    parser.add_argument(
        "--seconds", type=positive_int, metavar="N", help="length of a round; default: 3"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help=f"folder of the data, kept for the next run; default: {FOLDER}",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
