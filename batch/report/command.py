"""The command `python -m batch report`: make the report of a generation again."""

import argparse
import json
from pathlib import Path
from typing import Any

from batch.report.make import make_report
from batch.report.settings import ReportSettings
from batch.settings import BatchSettings
from store.config import StoreSettings, load_section
from store.pointer import current

_EXAMPLE = """example:
  python -m batch report
  python -m batch report 42 --store var/store

Prints the path of the page. What only the refresh measured (seconds, memory, rejected rows) is
taken over from its own report.json.
Exit status: 0 done, 1 no such snapshot, or it is damaged, 2 wrong usage."""


def add_report(verbs: Any) -> None:
    """Add the verb `report` to the parser of `python -m batch`."""
    about = "Make the report of a generation again: page, numbers, model card, counts of lists."
    verb = verbs.add_parser(
        "report",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "generation", type=int, nargs="?", metavar="GENERATION", help="default: the current one"
    )
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=_report)


def _report(arguments: argparse.Namespace, _: BatchSettings) -> str:
    config = arguments.config
    store = arguments.store or Path(load_section("store", StoreSettings, config).path)
    generation = current(store) if arguments.generation is None else arguments.generation
    page = make_report(store, generation, load_section("report", ReportSettings, config))
    found = {"generation": generation, "report": str(page)}
    return json.dumps(found) if arguments.json else str(page)
