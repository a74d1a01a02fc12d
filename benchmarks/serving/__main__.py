"""Answer random users' requests as fast as one core can, in nine ways.

    server core    the subject, with all processes that it needs
    load core      wrk: one thread, 16 keep-alive connections, random users

All subjects run side by side and take turns: in every round each is loaded for
some seconds while the others stand idle. Each figure is the median of the
rounds, each ratio the median of the rounds' ratios. Where others use the machine
too, requests for each second that a subject really had of its core are steadier
than requests a second; they are printed beside them.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.serving.data import SEED, Data, prepare
from benchmarks.serving.errors import BenchmarkError, LoadError
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

Exit status: 0 measured, whether the goals hold or not; 1 something could not be
measured; 2 wrong usage."""


class _Plan(NamedTuple):
    """How much is measured: users, rounds, and seconds a subject in each round."""

    users: int
    rounds: int
    seconds: int


class _Load(NamedTuple):
    """What loads the subjects: wrk's core and environment, and a folder for targets."""

    core: int
    environment: Mapping[str, str]
    folder: Path


_FULL: Final = _Plan(users=1_000_000, rounds=11, seconds=3)
_QUICK: Final = _Plan(users=50_000, rounds=2, seconds=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    given = _parser().parse_args(arguments)
    preset = _QUICK if given.quick else _FULL
    plan = _Plan(*(getattr(given, name) or getattr(preset, name) for name in _Plan._fields))
    installed = Installed(given.folder, may_install=not given.quick)
    chosen = [subject for subject in SUBJECTS if subject.name in given.subjects]
    try:
        cores = two_cores()
        installed.require(["wrk"])
        data = prepare(given.folder, plan.users, given.items)
        with Runner(data, cores, installed) as runner:
            running = list(runner.start(chosen))
            load = _Load(cores.load, installed.environment(), runner.folder)
            rounds = _measure(running, plan, data, load)
    except BenchmarkError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    about = {
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
    print_figures(rounds, versions, about)
    return 1 if runner.n_refused or len(rounds) < len(running) else 0


def _measure(
    running: Sequence[Running], plan: _Plan, data: Data, load: _Load
) -> dict[str, list[Seen]]:
    """Load all subjects in turn; a subject that fails under load has no figures."""
    targets = {
        target: write_targets(
            load.folder / f"targets-{number}", (target.format(user) for user in range(data.n_users))
        )
        for number, target in enumerate({one.subject.target for one in running})
    }
    rounds: dict[str, list[Seen]] = {one.subject.name: [] for one in running}
    for number in range(plan.rounds + 1):  # round 0 warms: it maps every page, and is not counted
        print(f"round {number} of {plan.rounds}", file=sys.stderr)
        first = number % max(len(running), 1)  # nobody is always behind the same neighbour
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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [subject.name for subject in SUBJECTS]
    parser.add_argument(
        "--subjects", type=_subjects, default=names, metavar="A,B", help=f"of {', '.join(names)}"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="50,000 users, 2 rounds of a second, peers only if they are installed",
    )
    parser.add_argument("--users", type=count, metavar="N", help="default: 1000000")
    parser.add_argument("--items", type=count, default=27_000, metavar="N", help="default: 27000")
    parser.add_argument("--rounds", type=count, metavar="N", help="default: 11")
    parser.add_argument("--seconds", type=count, metavar="N", help="of a round, default: 3")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, metavar="DIR", help=f"kept; default: {FOLDER}"
    )
    return parser


def _subjects(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - {subject.name for subject in SUBJECTS}:
        raise argparse.ArgumentTypeError(f"no such subject: {', '.join(sorted(unknown))}")
    return names


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
