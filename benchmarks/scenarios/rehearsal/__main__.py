"""The rehearsal: a five-minute soak test that holds what a bad week holds.

    users          send 2,000 requests a second, watch, rate; new ones join
    speed layer    collects what they watch, and makes their lists again within seconds
    workers        are killed, one after the other, all the time
    1st publish    a real refresh of the history and the new events, on the same cores, run by cron
    rollback       to the generation before
    takedown       of the most popular item; a second later it is in no response
    2nd publish    of what was rolled back
    3rd publish    a real refresh once more, without the item

Every response is checked by the grader's rules. It fails if any request fails: the
last line and the exit status say so.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.arguments import non_negative_int, positive_float, positive_int
from benchmarks.harness.errors import RefusedError
from benchmarks.harness.servers import MarqueeServer
from benchmarks.scenarios.rehearsal.refresh import run_refresh
from benchmarks.scenarios.rehearsal.script import (
    ScriptOptions,
    ScriptResult,
    in_thread,
    report_progress,
    run_script,
)
from benchmarks.scenarios.rehearsal.speed_layer import speed_layer
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.live.report.figures import Report, make_report
from benchmarks.simulator.live.report.text import as_text
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import TrafficMix
from benchmarks.simulator.live.run import RunOptions
from benchmarks.simulator.live.simulation import Simulation
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.world.world import World, make_world

_EXAMPLE: Final = """examples:
  python -m benchmarks.scenarios.rehearsal
  python -m benchmarks.scenarios.rehearsal --seconds 30 --users 5000 --items 1000 --rate 500

Exit status: 0 every request succeeded and every operation was done, 1 not so, 2 wrong usage."""

_N_WORKERS: Final = 2
_LIVE: Final = Path("live", "events.log")
_TAKEDOWN_SECONDS: Final = 1.0  # after which no response may hold what was taken down
_MAX_TIMES_LONGER: Final = 10  # on busy cores a refresh of low priority takes long
_MIN_TRAFFIC_SECONDS: Final = 300.0  # that short scripts may take, for the same reason
_PIECE_BYTES: Final = 128 << 20  # of the stream: it must not fill the disk
_N_PIECES: Final = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rehearsal; return 0 if every request succeeded and every operation was done."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's workers are nobody: they reopen the access log
        world = make_world(options.users, options.items, options.seed)
        report_progress(f"a history of {options.users:,} users and {options.items:,} items")
        write_history(world, folder / "history", HistoryOptions(is_parquet=True))
        run_refresh(folder, [folder / "history" / "events"])
        with (
            MarqueeServer(folder / "store", folder, "--workers", str(_N_WORKERS)) as server,
            speed_layer(folder, folder / _LIVE) as layer,
        ):
            report, result = _rehearse(world, options, folder, server)
            try:
                layer.check()
            except RefusedError as error:
                result.problems.append(str(error))
    print(as_text(report))
    problems = _problems(report, result)
    operations = f"through {', '.join(result.done)} and {result.n_kills} kills of workers"
    n_requests = sum(one.n_requests + one.n_malformed for one in report.servers)
    if problems:
        print(f"FAILED: {'; '.join(problems)}; {n_requests:,} requests {operations}")
        return 1
    print(f"PASSED: 100 % of {n_requests:,} requests succeeded {operations}")
    return 0


def _rehearse(
    world: World, options: argparse.Namespace, folder: Path, server: MarqueeServer
) -> tuple[Report, ScriptResult]:
    """Send traffic while the script runs, and end it with the script."""
    seconds = max(options.seconds * _MAX_TIMES_LONGER, _MIN_TRAFFIC_SECONDS)
    run = RunOptions(
        [Address(*server.address)], seconds, TrafficMix(options.rate),
        options.seed, options.speed, HistoryOptions().log_format,
    )  # fmt: skip
    simulation, result = Simulation(world, run), ScriptResult()
    most_popular = int(simulation.world.items.popularity.argmax())

    def withhold() -> None:
        simulation.takedowns.since[most_popular] = time.monotonic() + _TAKEDOWN_SECONDS

    script = ScriptOptions(
        folder, options.seconds, options.seed, simulation.world.items.ids[most_popular], withhold
    )

    def operate() -> None:
        try:
            run_script(script, server, result)
        finally:
            simulation.stop()

    stream = FileStream(folder / _LIVE, piece_bytes=_PIECE_BYTES, n_kept=_N_PIECES)
    with in_thread(operate):
        traffic = simulation.run(stream)
        stream.close()
    return make_report(traffic, simulation.takedowns.n_shown), result


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
        "--rate", type=positive_float, default=2000.0, metavar="N", help="default: 2000"
    )
    parser.add_argument(
        "--users", type=positive_int, default=100_000, metavar="N", help="default: 100000"
    )
    parser.add_argument(
        "--items", type=positive_int, default=20_000, metavar="N", help="default: 20000"
    )
    parser.add_argument(
        "--seed", type=non_negative_int, default=42, metavar="N", help="default: 42"
    )
    parser.add_argument(
        "--speed", type=positive_float, default=600.0, metavar="N",
        help="simulated seconds in a real one, default: 600",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, metavar="DIR", help="for all files; default: /tmp")
    return parser


if __name__ == "__main__":
    sys.exit(main())
