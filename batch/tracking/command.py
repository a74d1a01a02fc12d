"""The command `python -m batch track`."""

import argparse
import json
from pathlib import Path
from typing import Any

from batch.errors import InputError
from batch.settings import BatchSettings
from batch.tracking.settings import TrackingSettings
from batch.tracking.track import as_document, as_text, track
from store.config import StoreSettings, load_section

_EXAMPLE = """example:
  python -m batch track

A refresh ends with it. Run it after a rollback, or let the scheduler do so:
[cron.jobs.track] enabled = true
Exit status: 0 done, 1 a server cannot be reached, or refuses, 2 wrong usage."""


def add_track(verbs: Any) -> None:
    """Add the verb `track` to the parser of `python -m batch`."""
    about = "Deliver to MLflow and OpenLineage what is missing there."
    verb = verbs.add_parser(
        "track",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, _: BatchSettings) -> str:
    settings = load_section("tracking", TrackingSettings, arguments.config)
    if not (settings.mlflow or settings.openlineage):
        raise InputError("[tracking]", "names no system", "set mlflow, openlineage, or both")
    store = arguments.store or Path(load_section("store", StoreSettings, arguments.config).path)
    outcome = track(store, settings)
    return json.dumps(as_document(outcome)) if arguments.json else as_text(outcome, settings)
