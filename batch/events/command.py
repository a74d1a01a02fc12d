"""The command `python -m batch ingest`."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from batch.events.ingest import Ingested, ingest
from batch.settings import BatchSettings

_EXAMPLE = """example:
  python -m batch ingest --events var/log/stream-2026-11-14.log.gz
  python -m batch refresh --events var/events

The same lines again change nothing. Exit status: 0 done, 1 not (the message says why,
and the partitions are as they were), 2 wrong usage."""


def add_ingest(verbs: Any) -> None:
    """Add the verb to the parser of `python -m batch`."""
    verb = verbs.add_parser(
        "ingest",
        help="stream logs in, day partitions of Parquet out",
        description="Bring the events of stream logs into day partitions, for refreshes to read.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--events", nargs="+", action="extend", metavar="PATH",
        help="logs or directories of them; default: [batch] events",
    )  # fmt: skip
    verb.add_argument(
        "--out", type=Path, default=Path("var/events"), metavar="DIR", help="default: var/events"
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_ingest)


def _ingest(given: argparse.Namespace, settings: BatchSettings) -> str:
    done = ingest(settings, given.out)
    return _as_json(done) if given.json else _as_text(done, given.out)


def _as_json(done: Ingested) -> str:
    return json.dumps(dataclasses.asdict(done), default=str)


def _as_text(done: Ingested, out: Path) -> str:
    rejected = sum(done.rejected.values())
    seconds = sum(done.seconds.values())
    lines = [
        f"{done.n_lines:,} lines in {seconds:.1f} s, {rejected:,} rejected"
        + (f": {_counts(done.rejected)}" if rejected else "")
    ]
    if done.quarantine:
        lines.append(f"  quarantine    {done.quarantine}")
    lines.append(f"  {out!s:<13} {_counts(done.rows)} in the days of these lines")
    lines.append(f"  memory        {max(done.peak_mib.values()):,.0f} MiB at most")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())
