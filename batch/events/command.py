"""The command `python -m batch ingest`."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from batch.events.ingest import IngestResult, ingest
from batch.settings import BatchSettings

_EXAMPLE = """example:
  python -m batch ingest --events var/log/stream-2026-11-14.log.gz
  python -m batch refresh --events var/events

Ingesting the same lines again changes nothing. Exit status: 0 done, 1 failed (the
partitions are unchanged), 2 wrong usage."""


def add_ingest(verbs: Any) -> None:
    """Add the verb to the parser of `python -m batch`."""
    verb = verbs.add_parser(
        "ingest",
        help="write the events of stream logs to day partitions of Parquet",
        description="Write the events of stream logs to day partitions, which refreshes read.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--events", nargs="+", action="extend", metavar="PATH",
        help="logs, or directories of logs; default: [batch] events",
    )  # fmt: skip
    verb.add_argument(
        "--out", type=Path, default=Path("var/events"), metavar="DIR", help="default: var/events"
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_ingest)


def _ingest(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    result = ingest(settings, arguments.out)
    return _as_json(result) if arguments.json else _as_text(result, arguments.out)


def _as_json(result: IngestResult) -> str:
    return json.dumps(dataclasses.asdict(result), default=str)


def _as_text(result: IngestResult, out: Path) -> str:
    rejected = sum(result.rejected.values())
    seconds = sum(result.seconds.values())
    lines = [
        f"{result.n_lines:,} lines in {seconds:.1f} s, {rejected:,} rejected"
        + (f": {_counts(result.rejected)}" if rejected else "")
    ]
    if result.quarantine:
        lines.append(f"  quarantine    {result.quarantine}")
    lines.append(f"  {out!s:<13} {_counts(result.rows)} in the days of these lines")
    lines.append(f"  memory        {max(result.peak_mib.values()):,.0f} MiB at most")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())
