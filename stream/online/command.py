"""The command `python -m stream online`."""

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from batch.errors import BatchError
from store.errors import StoreError
from store.stop import stop_on_signals
from stream.errors import NoAnswersError, StreamError
from stream.online.access_log import LoggedRequests
from stream.online.comparison import changes
from stream.online.figures import (
    ALL,
    Labeller,
    by_all,
    by_arm,
    by_generation,
    by_group,
    by_hour,
    by_source,
    sums_by_label,
)
from stream.online.hours import HOUR_SECONDS, HourFiles
from stream.online.inputs import OnlineInputs
from stream.online.interface import InterfaceCounts, InterfaceHours, count_by_hour
from stream.online.metrics import OnlineGauges
from stream.online.report import OnlineReport, changes_as_json, changes_as_text
from stream.online.served_lists import generations_of_arms
from stream.online.settings import OnlineSettings

_EXAMPLE: Final = """examples:
  python -m stream online                           all hours that are kept
  python -m stream online --since 2026-11-14 --by group --json
  python -m stream online --before 41 --after 42    what generation 42 changed
  python -m stream online --follow                  gauges for Prometheus, until SIGTERM

Exit status: 0 done or stopped by a signal, 1 failed, 2 wrong usage."""
_GAUGED: Final = ("all", "source", "generation", "arm", "group")
_FOREVER: Final = 1 << 40

log = logging.getLogger(__name__)


def add_online(verbs: Any) -> None:
    """Add the verb to the parser of `python -m stream`."""
    about = "Print what the lists were worth: availability, clicks, minutes, ratings, costs."
    verb = verbs.add_parser(
        "online",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--events", type=Path, metavar="DIR", help="default: [stream] events")
    verb.add_argument(
        "--since", type=since_time, default=0, metavar="TIME", help="ISO 8601 by the events' clock"
    )
    verb.add_argument("--by", choices=("arm", "generation", "source", "group", "hour"))
    verb.add_argument("--before", type=int, metavar="GEN", help="compare this generation …")
    verb.add_argument("--after", type=int, metavar="GEN", help="… with this one, by users")
    verb.add_argument("--follow", action="store_true", help="set gauges until SIGTERM")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_online, usage_error=verb.error)


def _online(options: argparse.Namespace) -> int:
    if (options.before is None) != (options.after is None):
        options.usage_error("--before and --after go together")
    inputs = OnlineInputs.of(options)
    with inputs.errors_explained():
        if options.follow:
            return _follow(inputs)
        hours, newest = inputs.updated()
        if options.before is not None:
            return _compare(hours, options, inputs.settings.min_group_users)
        span = (options.since, newest + 1)
        report = _report(inputs, hours, options.by or ALL, span)
        report = replace(report, interface=_interface(inputs.settings, span))
    print(json.dumps(report.as_json()) if options.json else report.as_text())  # noqa: T201
    return 0


def _labeller(by: str, store: Path) -> Labeller:
    labellers: Mapping[str, Labeller] = {
        ALL: by_all, "source": by_source, "generation": by_generation, "group": by_group,
        "hour": by_hour, "arm": by_arm(generations_of_arms(store)),
    }  # fmt: skip
    return labellers[by]


def _report(inputs: OnlineInputs, hours: HourFiles, by: str, span: tuple[int, int]) -> OnlineReport:
    limit_ms = inputs.settings.limit_ms
    min_users = inputs.settings.min_group_users if by == "group" else 0
    figures = sums_by_label(hours.tables(*span), _labeller(by, inputs.store), limit_ms, min_users)
    few = [label for label, sums in figures.items() if len(sums.users) < min_users]
    figures = {label: sums for label, sums in figures.items() if label not in few}
    if by != ALL:
        figures = sums_by_label(hours.tables(*span), by_all, limit_ms) | figures
    since = max(span[0], next((begin for begin, _ in hours.hours(*span)), 0))
    return OnlineReport(since, span[1] - 1, hours.closed_until, by, figures, few)


def _interface(settings: OnlineSettings, span: tuple[int, int]) -> InterfaceCounts | None:
    """Return the counts of the access log in a span of time; None without a log."""
    if not Path(settings.access_log).is_file():
        return None
    kept = InterfaceHours(Path(settings.path))
    kept.update(count_by_hour(LoggedRequests(settings).lines))
    return kept.total(*span)


def _compare(hours: HourFiles, options: argparse.Namespace, min_group_users: int) -> int:
    sides: dict[int, list[pa.Table]] = {options.before: [], options.after: []}
    for rows in hours.tables(options.since, _FOREVER):
        for generation, tables in sides.items():
            of_generation = rows.filter(pc.equal(rows["generation"], generation))
            if len(of_generation):
                tables.append(of_generation)
    for generation, tables in sides.items():
        if not tables:
            remedy = "look at `python -m stream online --by generation`"
            raise StreamError(f"generation {generation}", "answered no request", remedy)
    found = changes(
        sides[options.before], sides[options.after], (by_all, by_group), min_group_users
    )
    as_json = json.dumps({
        "before": options.before, "after": options.after, "changes": changes_as_json(found),
    })  # fmt: skip
    print(as_json if options.json else changes_as_text(found))  # noqa: T201
    return 0


def _follow(inputs: OnlineInputs) -> int:
    """Set the gauges until a signal; what fails is logged and tried again.

    A new installation has no answers yet, which is logged once and is not an error.
    """
    settings, gauges, stop = inputs.settings, OnlineGauges(), stop_on_signals()
    if settings.metrics_port:
        gauges.serve(settings.metrics_host, settings.metrics_port)
    log.info("following %s", inputs.events)
    is_waiting = False
    while True:
        try:
            with inputs.errors_explained():
                _set_gauges(inputs, gauges)
        except (BatchError, StoreError, StreamError) as error:
            is_first = not is_waiting
            is_waiting = isinstance(error, NoAnswersError) and not inputs.had_answers()
            if not is_waiting:
                log.error("%s; next try in %g s", error, settings.poll_seconds)  # noqa: TRY400
            elif is_first:
                log.info("waiting for the first answer: %s", error)
        if stop.wait(settings.poll_seconds):
            return 0


def _set_gauges(inputs: OnlineInputs, gauges: OnlineGauges) -> None:
    settings = inputs.settings
    hours, newest = inputs.updated()
    span = (newest - int(settings.gauge_hours * HOUR_SECONDS), newest + 1)
    figures = {by: _report(inputs, hours, by, span).figures for by in _GAUGED}
    counts = _interface(settings, span)
    gauges.set(figures, counts.shares() if counts else {}, newest)
    gauges.experiment.update(inputs.store, inputs.folder)


def since_time(text: str) -> int:
    """Return the time of the option `--since`, seconds since 1970, UTC without a time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be as 2026-11-14T12:00, not {text!r}") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
