"""`python -m benchmarks.simulator live`."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.simulator.arguments import seed, share
from benchmarks.simulator.history.command import add_world, world_of
from benchmarks.simulator.history.write import DEFAULT_EDITION
from benchmarks.simulator.live.arguments import positive
from benchmarks.simulator.live.environment import Outside, add_outside
from benchmarks.simulator.live.errors import LiveError
from benchmarks.simulator.live.report.figures import Report, make_report
from benchmarks.simulator.live.report.text import as_text
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import Mix
from benchmarks.simulator.live.run import Run
from benchmarks.simulator.live.simulation import Play
from benchmarks.simulator.log_formats import EDITIONS
from benchmarks.simulator.world.world import World

_MOST_SERVERS: Final = 2
_EXAMPLE: Final = """\
examples:
  python -m benchmarks.simulator live --server http://127.0.0.1:8080 --rate 200 --seconds 60 \\
      --stream var/live/events.log --json var/live/report.json
  python -m benchmarks.simulator live --server http://a:8080 --server http://b:8080

The world must be the history's: give --users, --items, --days, --seed, --wandering and
--views-per-user as to `history`, or the viewers' past is another one.

Ctrl-C ends it early, with the report. Exit status: 0 every request was answered as it
should, 1 some were not, 2 wrong usage."""


def add_live(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to a parser."""
    verb = verbs.add_parser(
        "live",
        help="users who ask running servers, watch what they are shown, and make events",
        description="Ask one server, or two in an A/B test, judge every answer by the grader's "
        "rules, let users click and watch, and report what came of it.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--server", type=address, action="append", required=True, metavar="URL",
        help="twice for an A/B test: users are split between them by a hash",
    )  # fmt: skip
    verb.add_argument(
        "--rate", type=positive, default=200.0, metavar="N", help="requests a second, default: 200"
    )
    verb.add_argument("--seconds", type=positive, default=60.0, metavar="N", help="default: 60")
    verb.add_argument(
        "--even", action="store_true", help="requests at equal distances, not Poisson"
    )
    verb.add_argument(
        "--malformed", type=share, default=0.01, metavar="SHARE",
        help="of requests for an id that is none, default: 0.01",
    )  # fmt: skip
    verb.add_argument(
        "--newcomers", type=share, default=0.02, metavar="SHARE",
        help="of requests by users without a history, default: 0.02",
    )  # fmt: skip
    verb.add_argument("--no-keep-alive", action="store_true", help="a connection for each request")
    verb.add_argument(
        "--speed", type=positive, default=600.0, metavar="N",
        help="simulated seconds in a real one, default: 600",
    )  # fmt: skip
    verb.add_argument(
        "--run-seed", type=seed, default=0, metavar="N", help="of the run, default: 0"
    )
    verb.add_argument(
        "--edition", choices=EDITIONS, default=DEFAULT_EDITION, help="default: %(default)s"
    )
    verb.add_argument("--json", type=Path, metavar="FILE", help="the report for programs")
    add_world(verb)
    add_outside(verb)
    verb.set_defaults(run=_run, usage_error=verb.error)


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
    if len(given.server) > _MOST_SERVERS:
        given.usage_error("--server once, or twice for an A/B test")
    try:
        if given.json:
            given.json.parent.mkdir(parents=True, exist_ok=True)
        world = world_of(given)
        with Outside(given) as outside:
            report = _play(world, given, outside)
            print(as_text(report))  # at once: the stream may fail to close
            if given.json:
                given.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    except LiveError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 1 if report.n_failed or report.played.n_dropped else 0


def _play(world: World, given: argparse.Namespace, outside: Outside) -> Report:
    mix = Mix(given.rate, given.even, given.malformed, given.newcomers)
    run = Run(
        given.server, given.seconds, mix, given.run_seed, given.speed, EDITIONS[given.edition],
        not given.no_keep_alive, given.views_per_user,
    )  # fmt: skip
    play = Play(world, run)
    outside.open(play.world)
    print(f"asking {' and '.join(map(str, run.servers))}", file=sys.stderr, flush=True)
    with _ended_by_signals(play):
        played = play.play(outside.stream, outside.trouble, outside)
    return make_report(played, play.withheld.n_shown)


@contextlib.contextmanager
def _ended_by_signals(play: Play) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the play early, with its report."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: play.end()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
