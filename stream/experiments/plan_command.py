"""The command `python -m stream experiment plan`."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batch.errors import InputError
from store.experiment import EVERYONE, POPULATIONS
from stream.experiments.figures import METRIC_NAMES, metric_of
from stream.experiments.past import traffic_of_past
from stream.experiments.plan import Goal, plan
from stream.experiments.presets import PRESETS
from stream.experiments.traffic import ExperimentTraffic, ServiceRates, of_rates
from stream.online.inputs import OnlineInputs

_EXAMPLE = """example, a service of a million users, of whom 30,000 come on a day:
  python -m stream experiment plan --effect 0.05 --rate 0.3 --users 1000000 --daily-users 30000
the same by the figures of the last 28 days:
  python -m stream experiment plan --effect 0.05 --past-days 28

Exit status: 0 done, 1 failed, 2 wrong usage."""


def add_plan(verbs: Any) -> None:
    """Add `plan` to the verbs of `python -m stream experiment`."""
    about = "Print how long an experiment has to run, its power, and what looking early costs."
    verb = verbs.add_parser(
        "plan",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    number: Callable[..., Any] = verb.add_argument
    number("--effect", type=float, required=True, metavar="LIFT", help="smallest lift to be found")
    number("--rate", type=float, help="click-through now, between 0 and 1")
    number("--users", type=int, metavar="N", help="users of the service")
    number("--daily-users", type=int, metavar="N", help="users who come on a day")
    number("--requests", type=float, default=1.0, metavar="N", help="requests of each; default: 1")
    number("--correlation", type=float, default=0.1, help="of one user's requests; default: 0.1")
    number(
        "--request-deviation", type=float, default=1.0, metavar="CV",
        help="standard deviation / mean of users' numbers of requests; default: 1",
    )  # fmt: skip
    number("--shares", type=float, nargs="+", default=[0.5, 0.5], metavar="SHARE",
           help="share of each arm, control first; default: 0.5 0.5")  # fmt: skip
    number("--metrics", type=int, default=1, metavar="N", help="metrics tested; default: 1")
    number("--power", type=float, default=0.8, help="default: 0.8")
    number("--alpha", type=float, default=0.05, help="default: 0.05")
    number("--days", type=_days, default=90, metavar="N", help="most days; default: 90")
    _add_past(verb.add_argument_group("by past days, in place of rates"))
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run_plan)


def _add_past(past: Any) -> None:
    past.add_argument(
        "--past-days", type=_days, metavar="N",
        help="last days whose traffic is measured, as many as the experiment may last",
    )  # fmt: skip
    past.add_argument("--preset", choices=PRESETS, help="metric and population of a preset")
    past.add_argument("--metric", choices=METRIC_NAMES, help="default: click_through")
    past.add_argument("--population", choices=POPULATIONS, help="default: all")
    past.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    past.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    past.add_argument("--events", type=Path, metavar="DIR", help="default: [stream] events")


def run_plan(options: argparse.Namespace) -> int:
    """Print the plan for the options of `add_plan`; return the exit status.

    Raises:
        InputError: A value is out of range, or missing.
        StreamError: There are no events, or the hours are damaged.
    """
    goal = Goal(
        options.effect, options.power, options.alpha, tuple(options.shares), options.metrics
    )
    found = plan(goal, _past_traffic(options) if options.past_days else _traffic(options))
    print(json.dumps(found.as_json()) if options.json else found.as_text())  # noqa: T201
    return 0


def _traffic(options: argparse.Namespace) -> ExperimentTraffic:
    if options.preset or options.metric or options.population:
        problem = "--preset, --metric and --population are of measured traffic"
        raise InputError("plan", problem, "add --past-days, or leave them out")
    if None in (options.rate, options.users, options.daily_users):
        remedy = "give --rate, --users and --daily-users, or --past-days"
        raise InputError("plan", "the traffic of the service is missing", remedy)
    service = ServiceRates(
        options.rate,
        options.users,
        options.daily_users,
        options.requests,
        options.correlation,
        options.request_deviation,
    )
    return of_rates(service, options.days)


def _past_traffic(options: argparse.Namespace) -> ExperimentTraffic:
    if (options.rate, options.users, options.daily_users) != (None, None, None):
        remedy = "leave out --rate, --users and --daily-users, or --past-days"
        raise InputError("plan", "the traffic is given and measured", remedy)
    inputs = OnlineInputs.of(options)
    preset = PRESETS.get(options.preset)
    metric = options.metric or (preset.metric if preset else "click_through")
    population = options.population or (preset.population if preset else EVERYONE)
    with inputs.errors_explained():
        return traffic_of_past(inputs, metric_of(metric), population, options.past_days)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"must be a number of days from 1 to 1000, not {text!r}")
    return int(text)
