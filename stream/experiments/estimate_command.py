"""The command `python -m stream estimate`: what a generation would get, before it goes live."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from store.snapshot import open_snapshot
from store.takedown import takedowns
from stream.errors import StreamError
from stream.experiments.from_logs import ListRequests, list_requests, log_report
from stream.online.command import since_time
from stream.online.inputs import OnlineInputs

_EXAMPLE: Final = """examples:
  python -m batch refresh --arm steep --set rules.explore_temperature=5
  python -m stream estimate --generation 43
  python -m stream estimate --generation 43 --logged 41 --since 2026-11-14 --json

The other generation must have been built with `[rules] explore`.
Exit status: 0 answered, 1 failed, or the logs give no answer, 2 wrong usage."""
_FOREVER: Final = 1 << 40


def add_estimate(verbs: Any) -> None:
    """Add the verb to the parser of `python -m stream`."""
    about = "Print the click-through that a generation would have, from the logs of another."
    verb = verbs.add_parser(
        "estimate",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--events", type=Path, metavar="DIR", help="default: [stream] events")
    verb.add_argument("--generation", type=int, required=True, metavar="GEN")
    verb.add_argument(
        "--logged", type=int, metavar="GEN",
        help="generation that answered; default: the latest other one",
    )  # fmt: skip
    verb.add_argument(
        "--since", type=since_time, default=0, metavar="TIME",
        help="ISO 8601 by the events' clock",
    )  # fmt: skip
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_estimate)


def _estimate(options: argparse.Namespace) -> int:
    inputs = OnlineInputs.of(options)
    with inputs.errors_explained():
        hours, _ = inputs.updated()
        by_generation = list_requests(hours.tables(options.since, _FOREVER))
    logged, requests = _chosen(by_generation, options)
    taken_down = [name.encode() for name in takedowns(inputs.store)]
    with (
        open_snapshot(inputs.store, logged) as old,
        open_snapshot(inputs.store, options.generation) as new,
    ):
        report = log_report(requests, old, new, taken_down)
    print(json.dumps(report.as_json()) if options.json else report.as_text())  # noqa: T201
    return 1 if report.expected.reason else 0


def _chosen(
    by_generation: dict[int, ListRequests], options: argparse.Namespace
) -> tuple[int, ListRequests]:
    others = by_generation.keys() - {options.generation}
    logged = max(others, default=0) if options.logged is None else options.logged
    if logged not in by_generation:
        subject = f"generation {logged}" if logged else "the logs"
        problem = "answered no request by a user's list" if logged else "have no other generation"
        remedy = "look at `python -m stream online --by generation`"
        raise StreamError(subject, problem, remedy)
    return logged, by_generation[logged]
