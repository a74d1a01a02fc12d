"""`python -m benchmarks.simulator live`: users of a world against running servers."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.harness.arguments import (
    non_negative_int,
    positive_float,
    share,
)
from benchmarks.simulator.history.write import DEFAULT_LOG_FORMAT
from benchmarks.simulator.live.environment import Environment, add_environment
from benchmarks.simulator.live.errors import LiveError
from benchmarks.simulator.live.report.figures import Report, make_report
from benchmarks.simulator.live.report.text import as_text
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import TrafficMix
from benchmarks.simulator.live.run import RunOptions
from benchmarks.simulator.live.simulation import Simulation
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.world import World
from benchmarks.simulator.world_arguments import add_world, world_of
from store.options import RenamedOption

_MAX_SERVERS: Final = 2
_EXAMPLE: Final = """\
examples:
  python -m benchmarks.simulator live --server http://127.0.0.1:8080 --rate 200 --seconds 60 \\
      --stream var/live/events.log --json var/live/report.json
  python -m benchmarks.simulator live --server http://a:8080 --server http://b:8080

The world must be that of the history: use the same --users, --items, --days, --seed,
--random-views and --views-per-user as for `history`.

Ctrl-C ends the run early and prints the report. Exit status: 0 every request succeeded,
1 some failed, 2 wrong usage."""


def add_live(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to a parser."""
    verb = verbs.add_parser(
        "live",
        help="send users' requests to running servers; users watch, and events are written",
        description="Send requests to one server, or to two in an A/B test, grade every answer, "
        "let users click and watch, and report the results.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_traffic(verb)
    _add_run(verb)
    add_world(verb)
    add_environment(verb)
    verb.set_defaults(run=_run, usage_error=verb.error)


def _add_traffic(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--server", type=address, action="append", required=True, metavar="URL",
        help="server to test; twice for an A/B test: users are split by a hash",
    )  # fmt: skip
    verb.add_argument(
        "--rate", type=positive_float, default=200.0, metavar="N",
        help="requests a second, default: 200",
    )  # fmt: skip
    verb.add_argument(
        "--constant-rate", action="store_true",
        help="send requests at equal intervals instead of Poisson arrivals",
    )  # fmt: skip
    verb.add_argument(
        "--malformed", type=share, default=0.01, metavar="SHARE",
        help="share of requests with a malformed id, default: 0.01",
    )  # fmt: skip
    verb.add_argument(
        "--new-users", type=share, default=0.02, metavar="SHARE",
        help="share of requests by users without a history, default: 0.02",
    )  # fmt: skip
    verb.add_argument("--even", action=RenamedOption, new="--constant-rate")
    verb.add_argument("--newcomers", action=RenamedOption, new="--new-users")
    verb.add_argument(
        "--no-keep-alive", action="store_true", help="open a connection for each request"
    )


def _add_run(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--seconds",
        type=positive_float,
        default=60.0,
        metavar="N",
        help="duration of the run, default: 60",
    )
    verb.add_argument(
        "--speed", type=positive_float, default=600.0, metavar="N",
        help="simulated seconds in a real second, default: 600",
    )  # fmt: skip
    verb.add_argument(
        "--run-seed", type=non_negative_int, default=0, metavar="N",
        help="random seed of the run, default: 0",
    )  # fmt: skip
    verb.add_argument(
        "--edition", dest="log_format", choices=LOG_FORMATS, default=DEFAULT_LOG_FORMAT,
        help="edition of the log format, default: %(default)s",
    )  # fmt: skip
    verb.add_argument(
        "--finish-views", action="store_true",
        help="write the events of views that outlast the run at its end, all at once",
    )  # fmt: skip
    verb.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")


def address(text: str) -> Address:
    """Return the address in `http://host:port`."""
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.scheme not in ("", "http") or parts.path.strip("/"):
        raise argparse.ArgumentTypeError(f"must be as http://127.0.0.1:8080, not {text!r}")
    return Address(host, port)


def _run(given: argparse.Namespace) -> int:
    if len(given.server) > _MAX_SERVERS:
        given.usage_error("--server once, or twice for an A/B test")
    try:
        if given.json:
            given.json.parent.mkdir(parents=True, exist_ok=True)
        world = world_of(given)
        with Environment(given) as environment:
            report = _simulate(world, given, environment)
            print(as_text(report))  # before closing: the stream may fail to close
            if given.json:
                given.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    except LiveError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{error.filename}: cannot be written: {error.strerror}; choose another file",
            file=sys.stderr,
        )
        return 1
    return 1 if report.n_failed or report.result.n_dropped else 0


def _simulate(world: World, given: argparse.Namespace, environment: Environment) -> Report:
    options = RunOptions(
        servers=given.server,
        seconds=given.seconds,
        mix=TrafficMix(given.rate, given.constant_rate, given.malformed, given.new_users),
        seed=given.run_seed,
        speed=given.speed,
        log_format=LOG_FORMATS[given.log_format],
        keep_alive=not given.no_keep_alive,
        views_per_user=given.views_per_user,
        finish_views=given.finish_views,
    )
    simulation = Simulation(world, options)
    environment.open(simulation.world)
    servers = " and ".join(map(str, options.servers))
    print(f"sending requests to {servers}", file=sys.stderr, flush=True)
    with _stopped_by_signals(simulation):
        result = simulation.run(environment.stream, environment.faults, environment)
    return make_report(result, simulation.takedowns.n_shown)


@contextlib.contextmanager
def _stopped_by_signals(simulation: Simulation) -> Iterator[None]:
    """Stop the simulation early, with its report, at Ctrl-C and SIGTERM."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: simulation.stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
