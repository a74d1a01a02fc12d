"""How long answers take at half the peak rate: `python -m benchmarks.serving.latency`.

For each kind of request (a known user; each step of the fallback chain) wrk
finds the peak first. Then requests fall due at half that rate, at random
moments, and each is timed from its moment. The server has one core, the load
the other; figures are medians of the rounds, the longest is the longest of all.
A static nginx, asked as often as the first kind, shows what the machine itself
takes: a virtual one stands still for milliseconds now and then.
"""

import argparse
import contextlib
import http.client
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.serving.__main__ import FOLDER, count
from benchmarks.serving.data import SEED, Data, prepare
from benchmarks.serving.errors import BenchmarkError, RefusedError
from benchmarks.serving.figures import OURS
from benchmarks.serving.installed import Installed
from benchmarks.serving.latency_figures import Asked, print_figures, print_tables
from benchmarks.serving.open_loop import CONNECTIONS, Latency, compile_open_loop, run_open_loop
from benchmarks.serving.running import Runner, two_cores
from benchmarks.serving.subjects import SUBJECTS
from benchmarks.serving.targets import HEADERS, KINDS, Address, write_targets
from benchmarks.serving.wrk import run_wrk

_N_PEAKS: Final = 3
_N_ASKED: Final = 100
_FLOOR: Final = next(one for one in SUBJECTS if one.name == "nginx-static")
_EXAMPLE: Final = """example:
  python -m benchmarks.serving.latency > latency.jsonl
  python -m benchmarks.serving.latency --subject marquee-bare --kinds known,history

Exit status: 0 measured, whether the goals hold or not; 1 something could not be
measured; 2 wrong usage."""


class _Plan(NamedTuple):
    """How much is measured: users, rounds, and seconds a kind in each round."""

    users: int
    rounds: int
    seconds: int


_FULL: Final = _Plan(users=1_000_000, rounds=5, seconds=8)
_QUICK: Final = _Plan(users=50_000, rounds=1, seconds=2)


class _Question(NamedTuple):
    """What is asked of whom, and how often.

    Attributes:
        address: Of the server.
        targets: A file, one target a line.
        rate: Requests a second; half the peak.
    """

    address: Address
    targets: Path
    rate: float


class _Load(NamedTuple):
    """What loads the server: the plan, the generator, wrk's environment, the core of both."""

    plan: _Plan
    generator: Path
    environment: Mapping[str, str]
    core: int
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    given = _parser().parse_args(arguments)
    preset = _QUICK if given.quick else _FULL
    plan = _Plan(*(getattr(given, name) or getattr(preset, name) for name in _Plan._fields))
    installed = Installed(given.folder, may_install=not given.quick)
    [subject] = [one for one in SUBJECTS if one.name == given.subject]
    try:
        cores = two_cores()
        installed.require(["wrk"])
        generator = compile_open_loop(given.folder, installed)
        data = prepare(given.folder, plan.users, given.items)
        with Runner(data, cores, installed) as runner:
            load = _Load(plan, generator, installed.environment(), cores.load, runner.folder)
            running = {one.subject.name: one.address for one in runner.start([subject, _FLOOR])}
            questions = _questions(running, subject.name, given.kinds, data, load)
            asked = _ask(questions, load)
    except BenchmarkError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    about = {
        "n_users": data.n_users,
        "n_items": data.n_items,
        "connections": CONNECTIONS,
        "n_rounds": plan.rounds,
        "seconds": plan.seconds,
        "seed": SEED,
    }
    print_tables(asked)
    for name, answered in asked.items():
        of = _FLOOR if name == _FLOOR.name else subject
        print_figures(
            name, answered, about | {"subject": of.name, "version": of.version(installed)}
        )
    return 0 if set(given.kinds) <= asked.keys() else 1


def _questions(
    running: Mapping[str, Address], subject: str, kinds: Sequence[str], data: Data, load: _Load
) -> dict[str, _Question]:
    """Find the peak of each kind that is answered as it should be; the floor is asked as often."""
    questions: dict[str, _Question] = {}
    for name in kinds if subject in running else ():
        targets = KINDS[name].targets(data, random.Random(SEED))
        try:
            _check_source(running[subject], targets, KINDS[name].source)
        except RefusedError as error:
            print(f"REFUSED: {name}: {error}", file=sys.stderr)
            continue
        print(f"the peak of {name}", file=sys.stderr)
        path = write_targets(load.folder / name, targets)
        rate = _peak(running[subject], path, load) / 2
        questions[name] = _Question(running[subject], path, rate)
    if questions and _FLOOR.name in running:
        first = next(iter(questions.values()))
        questions[_FLOOR.name] = first._replace(address=running[_FLOOR.name])
    return questions


def _peak(address: Address, targets: Path, load: _Load) -> float:
    peaks = [
        run_wrk(
            *(address, targets),
            core=load.core,
            seconds=load.plan.seconds,
            seed=SEED + number,
            environment=load.environment,
        )
        for number in range(min(_N_PEAKS, load.plan.rounds))
    ]
    return median(one.requests_per_second for one in peaks)


def _ask(questions: Mapping[str, _Question], load: _Load) -> dict[str, Asked]:
    """Ask all questions in turn, round after round."""
    rounds: dict[str, list[Latency]] = {name: [] for name in questions}
    for number in range(load.plan.rounds):
        print(f"round {number + 1} of {load.plan.rounds}", file=sys.stderr)
        for name, (address, targets, rate) in questions.items():
            seen = run_open_loop(
                *(load.generator, address, targets),
                core=load.core,
                rate=rate,
                seconds=load.plan.seconds,
                seed=SEED + number,
            )
            rounds[name].append(seen)
    return {name: Asked(questions[name].rate, seen) for name, seen in rounds.items()}


def _check_source(address: Address, targets: Sequence[str], source: str) -> None:
    """See that answers are good and come out of the step that is meant.

    Raises:
        RefusedError: One is not.
    """
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        for target in targets[:_N_ASKED]:
            try:
                connection.request("GET", target, headers=HEADERS)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise RefusedError(target, f"fails: {error!r}") from error
            seen = answer.headers["X-Marquee-Source"]
            if (answer.status, seen) != (200, source):
                what = f"{answer.status} {body[:60]!r}, made by {seen}, not by {source}"
                raise RefusedError(target, what)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.latency",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--subject", choices=OURS, default="marquee-front")
    parser.add_argument(
        "--kinds", type=_kinds, default=[*KINDS], metavar="A,B", help=f"of {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="50,000 users, one round of 2 s, nothing installed"
    )
    parser.add_argument("--users", type=count, metavar="N", help="default: 1000000")
    parser.add_argument("--items", type=count, default=27_000, metavar="N", help="default: 27000")
    parser.add_argument("--rounds", type=count, metavar="N", help="default: 5")
    parser.add_argument("--seconds", type=count, metavar="N", help="of a round, default: 8")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, metavar="DIR", help=f"kept; default: {FOLDER}"
    )
    return parser


def _kinds(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - KINDS.keys():
        raise argparse.ArgumentTypeError(f"no such kind: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
