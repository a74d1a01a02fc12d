"""The commands `python -m batch ingest` and `python -m batch forget`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from batch.errors import BatchError, NotForgottenError
from batch.events.forget import forget_events
from batch.events.ingest import IngestResult, ingest, ingest_into
from batch.fetch.settings import FetchSettings
from batch.settings import BatchSettings
from batch.sql.source import DatabaseInput, database_inputs, open_database, record_input
from batch.sql.url import is_database_url, parse_url
from batch.trust.trusted import forget_accounts
from store.config import StoreSettings, load_section

_EXAMPLE = """example:
  python -m batch ingest --events var/log/stream-2026-11-14.log.gz
  python -m batch refresh --events var/events
  python -m batch ingest --to postgresql://writer@db/events --keep-days 90
  python -m batch refresh --events postgresql://reader@db/events

Ingesting the same lines again changes nothing. Exit status: 0 done, 1 failed (the
partitions or tables are unchanged), 2 wrong usage."""


_FORGET_EXAMPLE = """For a request for erasure, in this order:
  python -m batch forget 12345     events, quarantine, copies of the user API: before a refresh
  python -m store forget 12345     snapshots, recent views, access logs
  python -m store push URL         if there are replicas; each pulls as usual

Logs and profiles that name the user are reported, not rewritten.
Exit status: 0 done, 1 a user is unknown or a file still names one, 2 wrong usage."""


def add_forget(verbs: Any) -> None:
    """Add the verb `forget` to the parser of `python -m batch`."""
    about = "Remove users from event stores, quarantine and copies of the user API."
    verb = verbs.add_parser(
        "forget",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_FORGET_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("user", nargs="+", help="a user id")
    verb.add_argument(
        "--events", dest="partitions", type=Path, default=Path("var/events"), metavar="DIR",
        help="directory of the partitions; default: var/events",
    )  # fmt: skip
    verb.add_argument("--quarantine", type=Path, metavar="DIR", help="default: [batch] quarantine")
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_forget)


def _forget(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    done = forget_events(
        list(dict.fromkeys(arguments.user)),
        arguments.partitions,
        arguments.quarantine or Path(settings.quarantine),
        Path(load_section("fetch", FetchSettings, arguments.config).path),
        _inputs(settings),
    )
    store = Path(load_section("store", StoreSettings, arguments.config).path)
    n_suspects = forget_accounts(store, arguments.user)
    text = "\n".join(
        (
            f"removed: {_counts(done.rows) or 'no rows'} of the event stores, "
            f"{done.n_lines:,} lines of the quarantine, {done.n_answers:,} answers of the user API",
            *([f"  and {n_suspects:,} lines of suspects and trusted users"] if n_suspects else []),
            *(f"  {file} may still name a user: remove the lines yourself" for file in done.left),
        )
    )
    text = json.dumps(dataclasses.asdict(done), default=str) if arguments.json else text
    if done.unknown:
        sys.stdout.write(text + "\n")
        raise NotForgottenError(
            ", ".join(done.unknown), "unknown: in no partition, quarantine, copy or input"
        )
    if done.left:
        sys.stdout.write(text + "\n")
        raise NotForgottenError(done.left[0], "may still name a user")
    return text


def _inputs(settings: BatchSettings) -> list[Path | DatabaseInput]:
    """Return the inputs that may name users."""
    inputs: list[Path | DatabaseInput] = []
    for name in settings.events:
        inputs += database_inputs(name, settings) if is_database_url(name) else [Path(name)]
    inputs += [record_input(name, settings) for name in settings.profiles]
    return [*inputs, Path(settings.user_vectors)] if settings.user_vectors else inputs


def add_ingest(verbs: Any) -> None:
    """Add the verb to the parser of `python -m batch`."""
    verb = verbs.add_parser(
        "ingest",
        help="write the events of stream logs to day partitions of Parquet, or to a database",
        description="Write the events of stream logs to an event store, which refreshes read.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--events", nargs="+", action="extend", metavar="PATH",
        help="logs, or directories of logs; default: [batch] events",
    )  # fmt: skip
    to = verb.add_mutually_exclusive_group()
    to.add_argument(
        "--out", type=Path, default=Path("var/events"), metavar="DIR",
        help="directory of day partitions; default: var/events",
    )  # fmt: skip
    to.add_argument(
        "--to", metavar="URL",
        help="database, in whose tables events are merged: postgresql, mysql or sqlite",
    )  # fmt: skip
    verb.add_argument(
        "--keep-days", type=_days, metavar="N",
        help="with --to: delete events of days more than N days before today (UTC)",
    )  # fmt: skip
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_ingest)


def _ingest(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    if arguments.keep_days is not None and not arguments.to:
        raise BatchError("--keep-days", "is given without --to", "name a database with --to")
    if arguments.to:
        opening = open_database(arguments.to, settings, arguments.keep_days)
        result = ingest_into(settings, opening)
        stored = f"  {parse_url(arguments.to)}  {_counts(result.rows)} of these lines"
    else:
        result = ingest(settings, arguments.out)
        stored = f"  {arguments.out!s:<13} {_counts(result.rows)} in the days of these lines"
    return _as_json(result) if arguments.json else _as_text(result, stored)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days; write e.g. 90")
    return int(text)


def _as_json(result: IngestResult) -> str:
    return json.dumps(dataclasses.asdict(result), default=str)


def _as_text(result: IngestResult, stored: str) -> str:
    rejected = sum(result.rejected.values())
    seconds = sum(result.seconds.values())
    lines = [
        f"{result.n_lines:,} lines in {seconds:.1f} s, {rejected:,} rejected"
        + (f": {_counts(result.rejected)}" if rejected else "")
    ]
    if result.quarantine:
        lines.append(f"  quarantine    {result.quarantine}")
    if result.not_read:
        lines.append(f"  not read      {', '.join(result.not_read)}")
    lines.append(stored)
    lines.append(f"  memory        {max(result.peak_mib.values()):,.0f} MiB at most")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())
