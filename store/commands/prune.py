"""`prune`: remove old snapshots, and keep their manifests."""

import argparse
import math
from pathlib import Path
from typing import Any

from store.commands.output import add_json, count, report
from store.config import StoreSettings, load_section
from store.pointer import current
from store.prune import prune
from store.publish import writing


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Remove old snapshots, but never the current, the pinned or an open one."
    verb = verbs.add_parser("prune", help=about, description=about)
    verb.add_argument("--keep", type=count, metavar="N", help="default: [store] keep")
    verb.add_argument("--keep-days", type=_days, metavar="D", help="default: [store] keep_days")
    add_json(verb)
    verb.set_defaults(run=_prune)


def _prune(store: Path, options: argparse.Namespace) -> int:
    settings = load_section("store", StoreSettings, options.config)
    keep = settings.keep if options.keep is None else options.keep
    keep_days = settings.keep_days if options.keep_days is None else options.keep_days
    current(store)  # raises before `writing` makes a store at a mistyped path
    with writing(store):
        removed = prune(store, keep, keep_days)
    names = ", ".join(map(str, removed))
    report(options, {"removed": removed}, [f"removed: {names or 'nothing'}"])
    return 0


def _days(text: str) -> float:
    if not 0 <= (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, and finite, not {text}")
    return number
