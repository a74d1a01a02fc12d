"""`rollback`, `pin` and `unpin`: an operator's choice of the generation that is served."""

import argparse
from pathlib import Path
from typing import Any

from store.commands.output import add_json, add_why, report
from store.options import RenamedOption
from store.pointer import current
from store.progress import on_terminal
from store.publish import pin, rollback, unpin


def add_parser(verbs: Any) -> None:
    """Declare the verbs."""
    about = "Make the parent, or a given generation, current again."
    verb = verbs.add_parser("rollback", help=about, description=about)
    verb.add_argument("--generation", type=int, metavar="N", help="default: the parent")
    verb.add_argument("--to", action=RenamedOption, new="--generation")
    verb.set_defaults(run=_rollback)
    add_why(verb)
    add_json(verb)

    about = "Pin the store to a generation: new ones are built and not served."
    verb = verbs.add_parser("pin", help=about, description=about)
    verb.add_argument("--generation", type=int, metavar="N", help="default: the current")
    verb.set_defaults(run=_pin)
    add_why(verb)
    add_json(verb)

    about = "Remove the pin, and serve the newest snapshot that may be served."
    verb = verbs.add_parser("unpin", help=about, description=about)
    verb.set_defaults(run=_unpin)
    add_why(verb)
    add_json(verb)


def _rollback(store: Path, options: argparse.Namespace) -> int:
    return _is_current(options, rollback(store, options.why, options.generation, on_terminal))


def _pin(store: Path, options: argparse.Namespace) -> int:
    generation = pin(store, options.why, options.generation, on_terminal)
    report(options, {"generation": generation}, [f"generation {generation} is current and pinned"])
    return 0


def _unpin(store: Path, options: argparse.Namespace) -> int:
    if not store.is_dir():
        current(store)  # raises: a mistyped path must not become a store
    return _is_current(options, unpin(store, options.why, on_terminal))


def _is_current(options: argparse.Namespace, generation: int) -> int:
    report(options, {"generation": generation}, [f"generation {generation} is current"])
    return 0
