"""The command `python -m stream watch`."""

import argparse
import json
import logging
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from batch.settings import BatchSettings
from store.config import StoreSettings, load_section
from store.errors import NoSnapshotError, StoreError
from store.pointer import current
from store.snapshot import Snapshot, open_snapshot
from store.stop import stop_on_signals
from stream.errors import StreamError
from stream.online.compute import open_hours
from stream.online.served_lists import ServedLists, generations_beside
from stream.online.settings import OnlineSettings
from stream.settings import StreamSettings
from stream.watch.figures import Figure, as_text
from stream.watch.groups import GroupHours
from stream.watch.history import keep_figures, kept_figures
from stream.watch.known import KnownIds
from stream.watch.metrics import WatchMetrics
from stream.watch.periods import HOUR_SECONDS, last_hour
from stream.watch.settings import WatchSettings
from stream.watch.trends import trends, trends_as_text
from stream.watch.watch import Sources, look

_EXAMPLE: Final = """example:
  python -m stream watch                         the last 24 hours against the 28 days before
  python -m stream watch --at 2026-11-28T06:00   the 24 hours before a time of the log
  python -m stream watch --follow                look once an hour, with gauges for Prometheus
  python -m stream watch --history click_through the figures of that name over all looks

Exit status: 0 no alarm, 1 an alarm or a failure, 2 wrong usage."""

log = logging.getLogger(__name__)


def add_watch(verbs: Any) -> None:
    """Add the verb to the parser of `python -m stream`."""
    about = "Compare the last 24 hours of events and lists with the days before."
    verb = verbs.add_parser(
        "watch",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--events", type=Path, metavar="DIR", help="default: [stream] events")
    verb.add_argument(
        "--at", type=_hour, metavar="TIME", help="end of the 24 hours; default: the last whole hour"
    )
    verb.add_argument("--follow", action="store_true", help="look once an hour")
    verb.add_argument(
        "--history", nargs="?", const="", metavar="NAME",
        help="print the figures of a name, or all, over the looks that are kept",
    )  # fmt: skip
    verb.add_argument("--json", action="store_true", help="print one JSON object a figure")
    verb.set_defaults(run=_watch)


def _watch(options: argparse.Namespace) -> int:
    settings = load_section("watch", WatchSettings, options.config)
    if options.history is not None:
        sys.stdout.write(_history(Path(settings.folder), options.history, is_json=options.json))
        return 0
    if options.follow:
        _follow(options, settings)
        return 0
    end_at, figures = _look(options, settings)
    if options.json:
        lines = [json.dumps(figure.as_json(), ensure_ascii=False) for figure in figures]
    else:
        end = datetime.fromtimestamp(end_at, UTC)
        lines = [f"24 hours to {end:%Y-%m-%d %H:%M}, by the log's clock", as_text(figures)]
    sys.stdout.write("\n".join([*lines, ""]))
    return int(any(figure.is_alarm for figure in figures))


def _history(folder: Path, name: str, *, is_json: bool) -> str:
    found = trends(kept_figures(folder), name)
    if not found:
        problem = f"has no looks with a figure {name}" if name else "has no looks"
        raise StreamError(folder, problem, "run `python -m stream watch`, which lists all names")
    if not is_json:
        return trends_as_text(found) + "\n"
    lines = [json.dumps(one._asdict(), ensure_ascii=False) for one in found]
    return "\n".join([*lines, ""])


def _follow(options: argparse.Namespace, settings: WatchSettings) -> None:
    """Look once an hour until SIGTERM or SIGINT; what fails is logged and tried again."""
    stop = stop_on_signals()
    metrics = WatchMetrics()
    if settings.metrics_port:
        metrics.serve(settings.metrics_host, settings.metrics_port)
    while True:
        try:
            end_at, figures = _look(options, settings)
            metrics.show(end_at, figures)
            for figure in figures:
                if figure.is_alarm:
                    log.warning(
                        "%s %s: %.4g, %s", figure.name, figure.of, figure.value, figure.note
                    )
        except (StoreError, StreamError) as error:
            log.error("%s; next try in an hour", error)  # noqa: TRY400
        except Exception:
            log.exception("cannot look; next try in an hour")
        if stop.wait(HOUR_SECONDS - time.time() % HOUR_SECONDS):
            return


def _look(options: argparse.Namespace, settings: WatchSettings) -> tuple[int, list[Figure]]:
    events = options.events or Path(load_section("stream", StreamSettings, options.config).events)
    store = options.store or Path(load_section("store", StoreSettings, options.config).path)
    quarantine = Path(load_section("batch", BatchSettings, options.config).quarantine)
    online = load_section("online", OnlineSettings, options.config)
    offset = online.utc_offset_minutes * 60
    end_at = options.at or last_hour(events)
    if not end_at:
        remedy = "start `python -m stream collect`, or run `python -m batch ingest`"
        raise StreamError(events, "has no events", remedy)
    with ExitStack() as stack:
        snapshot = _served(store, stack)
        ids = [] if snapshot is None else [key.decode() for key, _ in snapshot.items]
        served = stack.enter_context(ServedLists(store, offset, generations_beside(store)))
        click_seconds = int(online.click_hours * HOUR_SECONDS)
        groups = GroupHours(open_hours(online), click_seconds, online.min_group_users)
        sources = Sources(events, quarantine, KnownIds(snapshot), ids, served, groups)
        figures = look(sources, settings, end_at)
    keep_figures(Path(settings.folder), end_at, figures, settings.keep_days)
    return end_at, figures


def _served(store: Path, stack: ExitStack) -> Snapshot | None:
    try:
        return stack.enter_context(open_snapshot(store, current(store), verified=True))
    except NoSnapshotError:
        return None


def _hour(text: str) -> int:
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time, such as 2026-11-28T06:00"
        ) from None
    return int(at.timestamp()) // HOUR_SECONDS * HOUR_SECONDS
