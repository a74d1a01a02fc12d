"""Latency at half the peak rate: `python -m benchmarks.serving.latency`.

For each kind of request (a known user; each step of the fallback chain) wrk finds
the peak rate first. Then requests fall due at half that rate, at random moments,
and each is timed from its moment. The server has one core, the load the other.
Figures are medians of the rounds; the longest is the longest of all. A static nginx
at the rate of the first kind shows the machine's own share: a virtual machine stops
for milliseconds now and then.
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

from benchmarks.harness.arguments import make_parser, positive_int, some_of
from benchmarks.harness.errors import BenchmarkError, RefusedError
from benchmarks.harness.servers import Address
from benchmarks.serving.__main__ import FOLDER
from benchmarks.serving.data import SEED, Data, prepare
from benchmarks.serving.figures import MARQUEE_SUBJECTS
from benchmarks.serving.installed import Installed
from benchmarks.serving.latency_figures import Result, print_figures, print_tables
from benchmarks.serving.open_loop import (
    CONNECTIONS,
    Latency,
    OpenLoop,
    compile_open_loop,
    run_open_loop,
)
from benchmarks.serving.running import Runner, two_cores
from benchmarks.serving.subjects import SUBJECTS
from benchmarks.serving.targets import HEADERS, KINDS, write_targets
from benchmarks.serving.wrk import run_wrk

_N_PEAKS: Final = 3
_N_CHECKED: Final = 100
_BASELINE: Final = next(one for one in SUBJECTS if one.name == "nginx-static")
_EXAMPLE: Final = """example:
  python -m benchmarks.serving.latency > latency.jsonl
  python -m benchmarks.serving.latency --subject marquee-bare --kinds known,history

Exit status: 0 measured, whether the goals are met or not; 1 something could not be
measured; 2 wrong usage."""


class _Plan(NamedTuple):
    """Size of a run.

    Attributes:
        users: Number of users with a list.
        rounds: Number of rounds.
        seconds: Seconds per kind of request in each round.
    """

    users: int
    rounds: int
    seconds: int


_FULL: Final = _Plan(users=1_000_000, rounds=5, seconds=8)
_QUICK: Final = _Plan(users=50_000, rounds=1, seconds=2)


class _Stream(NamedTuple):
    """A stream of requests.

    Attributes:
        address: Address of the server.
        targets: File of targets, one per line.
        rate: Requests per second, half the peak.
    """

    address: Address
    targets: Path
    rate: float


class _Load(NamedTuple):
    """The load generators.

    Attributes:
        plan: Size of the run.
        generator: Path of the open-loop generator.
        environment: Environment of wrk.
        core: Core of both generators.
        folder: Folder for the files of targets.
    """

    plan: _Plan
    generator: Path
    environment: Mapping[str, str]
    core: int
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    args = _parser().parse_args(arguments)
    preset = _QUICK if args.quick else _FULL
    plan = _Plan(*(getattr(args, name) or getattr(preset, name) for name in _Plan._fields))
    installed = Installed(args.folder, may_install=not args.quick)
    [subject] = [one for one in SUBJECTS if one.name == args.subject]
    try:
        cores = two_cores()
        installed.require(["wrk"])
        generator = compile_open_loop(args.folder, installed)
        data = prepare(args.folder, plan.users, args.items)
        with Runner(data, cores, installed) as runner:
            load = _Load(plan, generator, installed.environment(), cores.load, runner.folder)
            running = {one.subject.name: one.address for one in runner.start([subject, _BASELINE])}
            streams = _streams(running, subject.name, args.kinds, data, load)
            results = _measure(streams, load)
    except BenchmarkError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    inputs = {
        "n_users": data.n_users,
        "n_items": data.n_items,
        "connections": CONNECTIONS,
        "n_rounds": plan.rounds,
        "seconds": plan.seconds,
        "seed": SEED,
    }
    print_tables(results)
    for name, result in results.items():
        of = _BASELINE if name == _BASELINE.name else subject
        print_figures(name, result, inputs | {"subject": of.name, "version": of.version(installed)})
    return 0 if set(args.kinds) <= results.keys() else 1


def _streams(
    running: Mapping[str, Address], subject: str, kinds: Sequence[str], data: Data, load: _Load
) -> dict[str, _Stream]:
    """Return a stream for each kind with the right source, and one for the baseline."""
    streams: dict[str, _Stream] = {}
    for name in kinds if subject in running else ():
        targets = KINDS[name].targets(data, random.Random(SEED))
        try:
            _check_source(running[subject], targets, KINDS[name].source)
        except RefusedError as error:
            print(f"REFUSED: {name}: {error}", file=sys.stderr)
            continue
        print(f"peak rate of {name}", file=sys.stderr)
        path = write_targets(load.folder / name, targets)
        rate = _peak(running[subject], path, load) / 2
        streams[name] = _Stream(running[subject], path, rate)
    if streams and _BASELINE.name in running:
        first = next(iter(streams.values()))
        streams[_BASELINE.name] = first._replace(address=running[_BASELINE.name])
    return streams


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


def _measure(streams: Mapping[str, _Stream], load: _Load) -> dict[str, Result]:
    """Send all streams in alternation, round after round."""
    rounds: dict[str, list[Latency]] = {name: [] for name in streams}
    for number in range(load.plan.rounds):
        print(f"round {number + 1} of {load.plan.rounds}", file=sys.stderr)
        for name, (address, targets, rate) in streams.items():
            options = OpenLoop(load.core, rate, load.plan.seconds, SEED + number)
            rounds[name].append(run_open_loop(load.generator, address, targets, options))
    return {name: Result(streams[name].rate, seen) for name, seen in rounds.items()}


def _check_source(address: Address, targets: Sequence[str], source: str) -> None:
    """Check that answers are good and have the expected source.

    Raises:
        RefusedError: An answer is not 200, or has another source.
    """
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        for target in targets[:_N_CHECKED]:
            try:
                connection.request("GET", target, headers=HEADERS)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise RefusedError(target, f"fails: {error!r}") from error
            seen = answer.headers["X-Marquee-Source"]
            if (answer.status, seen) != (200, source):
                problem = f"{answer.status} {body[:60]!r}, source {seen}, not {source}"
                raise RefusedError(target, problem)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("serving.latency", __doc__, _EXAMPLE)
    parser.add_argument("--subject", choices=MARQUEE_SUBJECTS, default="marquee-front")
    parser.add_argument(
        "--kinds", type=some_of(KINDS, "kind"), default=[*KINDS], metavar="A,B",
        help=f"some of {', '.join(KINDS)}",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="50,000 users, one round of 2 s, no installation"
    )
    parser.add_argument("--users", type=positive_int, metavar="N", help="default: 1000000")
    parser.add_argument(
        "--items", type=positive_int, default=27_000, metavar="N", help="default: 27000"
    )
    parser.add_argument("--rounds", type=positive_int, metavar="N", help="default: 5")
    parser.add_argument(
        "--seconds", type=positive_int, metavar="N", help="length of a round; default: 8"
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
