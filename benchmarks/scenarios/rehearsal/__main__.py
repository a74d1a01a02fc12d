"""The rehearsal: a five-minute soak test that holds what a bad week holds.

    users          send 500 requests a second, and make 27,000 events, watch, rate; new ones join
    broker, APIs   outside of the service, each with an outage
    collector      takes the events of a Kafka topic, each accounted for to the last one
    speed layer    makes lists of users with new events again within seconds
    scheduler      runs fetch, refresh, online, verify, prune
    workers        are killed, one after the other, all the time
    publishes      two real refreshes, on the same cores, and one of what was rolled back
    rollback       to the generation before
    takedown       of the most popular item; a second later it is in no response
    experiment     of a refresh with another setting, which is promoted

Every response is checked by the grader's rules. It fails if any request fails: the
last line and the exit status say so.
"""

import argparse
import contextlib
import functools
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.harness.arguments import non_negative_int, positive_float, positive_int
from benchmarks.harness.errors import RefusedError
from benchmarks.harness.processes import raise_priority
from benchmarks.harness.servers import MarqueeServer, Servers, free_port
from benchmarks.harness.tables import print_table
from benchmarks.scenarios.rehearsal.events import problems_of_events
from benchmarks.scenarios.rehearsal.growth import (
    COLLECTOR,
    SCHEDULER,
    SERVER,
    SPEED_LAYER,
    GrowthRecorder,
    print_growth,
    problems_of_growth,
)
from benchmarks.scenarios.rehearsal.jobs import problems_of_jobs
from benchmarks.scenarios.rehearsal.outside import Surroundings, surroundings
from benchmarks.scenarios.rehearsal.processes import layers, run_job, scheduler
from benchmarks.scenarios.rehearsal.script import (
    Operation,
    ScriptOptions,
    ScriptResult,
    in_thread,
    report_progress,
    run_script,
)
from benchmarks.scenarios.rehearsal.settings import HISTORY, STORE, write_settings
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.report.figures import Report, make_report
from benchmarks.simulator.live.report.text import as_text
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import TrafficMix
from benchmarks.simulator.live.run import RunOptions
from benchmarks.simulator.live.simulation import Simulation
from benchmarks.simulator.world.world import World, make_world

_EXAMPLE: Final = """examples:
  python -m benchmarks.scenarios.rehearsal
  python -m benchmarks.scenarios.rehearsal --seconds 60 --users 5000 --items 1000 --rate 200
  python -m benchmarks.scenarios.rehearsal --seconds 5 --users 300 --items 80 --rate 100 --light

Exit status: 0 every request succeeded and every operation was done, 1 not so, 2 wrong usage."""

_N_WORKERS: Final = 2
_TAKEDOWN_SECONDS: Final = 1.0  # after which no response may hold what was taken down
_MAX_TIMES_LONGER: Final = 10  # on busy cores a refresh of low priority takes long
_MIN_TRAFFIC_SECONDS: Final = 300.0  # that short scripts may take, for the same reason


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rehearsal; return 0 if every request succeeded and every operation was done."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's workers are nobody: they reopen the access log
        world = make_world(options.users, options.items, options.seed)
        report_progress(f"a history of {options.users:,} users and {options.items:,} items")
        write_history(world, folder / HISTORY, HistoryOptions(is_parquet=True))
        address = Address("127.0.0.1", free_port())
        simulation = _simulation(world, options, address)
        with surroundings(simulation.world, folder, is_light=options.light) as outside:
            write_settings(folder, outside.addresses, options.speed)
            report_progress("the first refresh")
            if not options.light:
                run_job(folder, "fetch")
            run_job(folder, "refresh")
            workers = ("--workers", str(_N_WORKERS))
            with (
                MarqueeServer(folder / STORE, folder, *workers, port=address.port) as server,
                contextlib.ExitStack() as beside,
            ):
                raise_priority(server.process.pid)
                parts = [layers(folder), *([] if options.light else [scheduler(folder)])]
                for part in parts:
                    beside.enter_context(part)
                growth = beside.enter_context(GrowthRecorder(folder, _sessions([server, *parts])))
                scripts = _scripts_of(options, folder, simulation, outside)
                report, result = _rehearse(simulation, scripts, server, outside)
                result.problems += _problems_of_parts(folder, parts, report, is_light=options.light)
    result.problems += problems_of_growth(growth.samples)
    print_growth(growth.samples, options.speed)
    print(as_text(report))
    return _conclusion(report, result)


def _simulation(world: World, options: argparse.Namespace, address: Address) -> Simulation:
    seconds = max(options.seconds * _MAX_TIMES_LONGER, _MIN_TRAFFIC_SECONDS)
    run = RunOptions(
        [address], seconds, TrafficMix(options.rate),
        options.seed, options.speed, HistoryOptions().log_format,
    )  # fmt: skip
    return Simulation(world, run)


def _scripts_of(
    options: argparse.Namespace, folder: Path, simulation: Simulation, outside: Surroundings
) -> Iterator[ScriptOptions]:
    """Yield the script of each round, in each of which another item is taken down."""
    items = simulation.world.items
    for row in np.argsort(-items.popularity)[: options.rounds].tolist():
        on_takedown = functools.partial(_withhold, simulation, row)
        yield ScriptOptions(
            folder, options.seconds / options.rounds, options.seed, items.ids[row], on_takedown,
            lambda: simulation.n_failed, outside.kafka, outside.apis,
        )  # fmt: skip


def _sessions(parts: Iterable[Servers]) -> dict[int, str]:
    """Return the name of each part of the service by its process, which leads a session."""
    pids = [pid for part in parts for pid in part.pids()]
    return dict(zip(pids, (SERVER, COLLECTOR, SPEED_LAYER, SCHEDULER), strict=False))


def _withhold(simulation: Simulation, item_row: int) -> None:
    simulation.takedowns.since[item_row] = time.monotonic() + _TAKEDOWN_SECONDS


def _rehearse(
    simulation: Simulation,
    scripts: Iterable[ScriptOptions],
    server: MarqueeServer,
    outside: Surroundings,
) -> tuple[Report, ScriptResult]:
    """Send traffic while the scripts run, and end it with the last one."""
    result = ScriptResult()

    def operate() -> None:
        try:
            for script in scripts:
                run_script(script, server, result)
        finally:
            simulation.stop()

    report_progress("traffic begins")
    with in_thread(operate):
        traffic = simulation.run(outside.stream, observer=outside.clock)
        try:
            outside.stream.close()
        except StreamError as error:
            result.problems.append(str(error))
    return make_report(traffic, simulation.takedowns.n_shown), result


def _problems_of_parts(
    folder: Path, parts: Iterable[Servers], report: Report, *, is_light: bool
) -> Iterator[str]:
    """Yield what went wrong beside the server, once collector and scheduler have caught up."""
    yield from problems_of_events(folder, report.result.n_lines - report.result.n_dropped)
    if not is_light:
        yield from problems_of_jobs(folder)
    for part in parts:
        try:
            part.check()
        except RefusedError as error:
            yield str(error)


def _conclusion(report: Report, result: ScriptResult) -> int:
    """Print the operations and the last line, and return the exit status."""
    problems, by_name = _problems(report, result), result.by_name()
    _print_operations(by_name, result.n_kills)
    names = (name if len(of) == 1 else f"{len(of)} times {name}" for name, of in by_name.items())
    operations = f"through {', '.join(names)} and {result.n_kills} kills of workers"
    n_requests = sum(one.n_requests + one.n_malformed for one in report.servers)
    if problems:
        print(f"FAILED: {'; '.join(problems)}; {n_requests:,} requests {operations}")
        return 1
    print(
        f"PASSED: 100 % of {n_requests:,} requests succeeded {operations}; "
        f"{report.result.n_lines:,} events are accounted for"
    )
    return 0


def _print_operations(by_name: Mapping[str, Sequence[Operation]], n_kills: int) -> None:
    rows = [
        (
            name,
            str(len(of)),
            f"{max(one.seconds for one in of):.1f}",
            f"{sum(one.n_failed for one in of):,}",
        )
        for name, of in by_name.items()
    ]
    header = ("operation", "times", "most seconds", "requests failed meanwhile")
    print_table(header, [*rows, ("a kill of a worker", str(n_kills), "", "")])


def _problems(report: Report, result: ScriptResult) -> list[str]:
    problems = list(result.problems)
    if report.n_failed:
        n_late = sum(one.n_sent_late for one in report.servers)
        delayed = f", {n_late:,} of them sent late by the simulator itself" if n_late else ""
        problems.append(f"{report.n_failed:,} requests failed{delayed}")
    if report.n_takedowns_shown:
        problems.append(f"{report.n_takedowns_shown:,} responses held what was taken down")
    if report.result.n_dropped:
        problems.append(f"{report.result.n_dropped:,} lines were lost")
    return problems


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scenarios.rehearsal",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=positive_float, default=300.0, metavar="N", help="default: 300"
    )
    parser.add_argument(
        "--rate", type=positive_float, default=500.0, metavar="N", help="default: 500"
    )
    parser.add_argument(
        "--users", type=positive_int, default=20_000, metavar="N", help="default: 20000"
    )
    parser.add_argument(
        "--items", type=positive_int, default=5_000, metavar="N", help="default: 5000"
    )
    parser.add_argument(
        "--seed", type=non_negative_int, default=42, metavar="N", help="default: 42"
    )
    parser.add_argument(
        "--speed", type=positive_float, default=600.0, metavar="N",
        help="simulated seconds in a real one, default: 600",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=positive_int, default=1, metavar="N",
        help="number of times that all operations are done, default: 1",
    )  # fmt: skip
    parser.add_argument(
        "--light", action="store_true",
        help="without broker, APIs, scheduler and experiment: events come by a file",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for all files; default: /tmp")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends its processes, as Ctrl-C does
    sys.exit(main())
