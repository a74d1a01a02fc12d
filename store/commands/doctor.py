"""`doctor`: the problems of a store, and the command that fixes each."""

import argparse
from pathlib import Path
from typing import Any

from store.commands.output import add_json, report
from store.doctor import problems
from store.progress import on_terminal


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Find the problems of this store, and print the command that fixes each."
    verb = verbs.add_parser("doctor", help=about, description=about)
    add_json(verb)
    verb.set_defaults(run=_doctor)


def _doctor(store: Path, options: argparse.Namespace) -> int:
    found = list(problems(store, on_terminal))
    lines = [line for problem in found for line in (problem.what, f"    fix: {problem.fix}")]
    report(options, [problem._asdict() for problem in found], lines or ["no problems found"])
    return 1 if found else 0
