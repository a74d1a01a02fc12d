"""`doctor`: what is wrong with a store, and the command that mends it."""

import argparse
from pathlib import Path
from typing import Any

from store.commands.output import add_json, report
from store.doctor import troubles


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Tell what is wrong with this store, and the command that mends it."
    verb = verbs.add_parser("doctor", help=about, description=about)
    add_json(verb)
    verb.set_defaults(run=_doctor)


def _doctor(store: Path, given: argparse.Namespace) -> int:
    found = list(troubles(store))
    lines = [line for trouble in found for line in (trouble.what, f"    mend: {trouble.mend}")]
    report(given, [trouble._asdict() for trouble in found], lines or ["all is well"])
    return 1 if found else 0
