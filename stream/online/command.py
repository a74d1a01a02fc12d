"""The command `python -m stream online`."""

import argparse
import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from store.config import StoreSettings, load_section
from store.stop import stop_on_signals
from stream.errors import StreamError
from stream.online.access_log import LoggedRequests
from stream.online.comparison import changes
from stream.online.compute import open_hours, update
from stream.online.events import DayFiles
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
from stream.online.interface import InterfaceCounts, InterfaceHours, count_by_hour
from stream.online.metrics import OnlineGauges
from stream.online.report import OnlineReport, changes_as_json, changes_as_text
from stream.online.served_lists import ServedLists, generations_of_arms
from stream.online.settings import OnlineSettings
from stream.settings import StreamSettings

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


@dataclass(frozen=True, slots=True)
class OnlineInputs:
    """Where the figures come from.

    Attributes:
        settings: Settings of the section.
        store: Directory of the store.
        events: Directory of the partitions.
    """

    settings: OnlineSettings
    store: Path
    events: Path

    @classmethod
    def of(cls, options: argparse.Namespace) -> "OnlineInputs":
        """Return the inputs that the options and the configuration name."""
        config = options.config
        store = options.store or Path(load_section("store", StoreSettings, config).path)
        events = options.events or Path(load_section("stream", StreamSettings, config).events)
        return cls(load_section("online", OnlineSettings, config), store, events)

    @contextlib.contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Raise the error of the stream where the disk refuses."""
        try:
            yield
        except OSError as error:
            folder, problem = self.settings.path, f"cannot be written: {error.strerror}"
            raise StreamError(folder, problem, "make room there, or check its rights") from error


def _online(options: argparse.Namespace) -> int:
    if (options.before is None) != (options.after is None):
        options.usage_error("--before and --after go together")
    inputs = OnlineInputs.of(options)
    with inputs.errors_explained():
        if options.follow:
            return _watch(inputs)
        hours, newest = updated_hours(inputs)
        if options.before is not None:
            return _compare(hours, options)
        span = (options.since, newest + 1)
        report = _report(inputs, hours, options.by or ALL, span)
        report = replace(report, interface=_interface(inputs.settings, span))
    print(json.dumps(report.as_json()) if options.json else report.as_text())  # noqa: T201
    return 0


def updated_hours(inputs: OnlineInputs) -> tuple[HourFiles, int]:
    """Compute the hours that are open; return all, and the time of the newest event."""
    offset = 60 * inputs.settings.utc_offset_minutes
    arms = generations_of_arms(inputs.store)
    hours = open_hours(inputs.settings)
    with ServedLists(inputs.store, offset, arms) as served:
        newest = update(hours, DayFiles(inputs.events), served, inputs.settings)
    if not newest:
        remedy = "start `python -m stream collect`, or set access_log in [online]"
        raise StreamError(inputs.events, "has no events", remedy)
    return hours, newest


def _labeller(by: str, store: Path) -> Labeller:
    labellers: Mapping[str, Labeller] = {
        ALL: by_all, "source": by_source, "generation": by_generation, "group": by_group,
        "hour": by_hour, "arm": by_arm(generations_of_arms(store)),
    }  # fmt: skip
    return labellers[by]


def _report(inputs: OnlineInputs, hours: HourFiles, by: str, span: tuple[int, int]) -> OnlineReport:
    limit_ms = inputs.settings.limit_ms
    figures = sums_by_label(hours.tables(*span), _labeller(by, inputs.store), limit_ms)
    if by != ALL:
        figures = sums_by_label(hours.tables(*span), by_all, limit_ms) | figures
    since = max(span[0], next((begin for begin, _ in hours.hours(*span)), 0))
    return OnlineReport(since, span[1] - 1, hours.closed_until, by, figures)


def _interface(settings: OnlineSettings, span: tuple[int, int]) -> InterfaceCounts | None:
    """Return the counts of the access log in a span of time; None without a log."""
    if not Path(settings.access_log).is_file():
        return None
    kept = InterfaceHours(Path(settings.path))
    kept.update(count_by_hour(LoggedRequests(settings).lines))
    return kept.total(*span)


def _compare(hours: HourFiles, options: argparse.Namespace) -> int:
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
    found = changes(sides[options.before], sides[options.after], (by_all, by_group))
    as_json = json.dumps({
        "before": options.before, "after": options.after, "changes": changes_as_json(found),
    })  # fmt: skip
    print(as_json if options.json else changes_as_text(found))  # noqa: T201
    return 0


def _watch(inputs: OnlineInputs) -> int:
    settings, gauges, stop = inputs.settings, OnlineGauges(), stop_on_signals()
    if settings.metrics_port:
        gauges.serve(settings.metrics_host, settings.metrics_port)
    log.info("following %s", inputs.events)
    while True:
        hours, newest = updated_hours(inputs)
        span = (newest - int(settings.gauge_hours * HOUR_SECONDS), newest + 1)
        figures = {by: _report(inputs, hours, by, span).figures for by in _GAUGED}
        counts = _interface(settings, span)
        gauges.set(figures, counts.shares() if counts else {}, newest)
        if stop.wait(settings.poll_seconds):
            return 0


def since_time(text: str) -> int:
    """Return the time of the option `--since`, seconds since 1970, UTC without a time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be as 2026-11-14T12:00, not {text!r}") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
