"""`verify`: check every checksum, then every list against the rules of the format."""

import argparse
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from store.check import broken_records
from store.commands.output import add_generation, add_json, report, requested_generation
from store.errors import CorruptSnapshotError, IncompatibleSnapshotError
from store.layout import generations
from store.pointer import current
from store.progress import on_terminal
from store.snapshot import Snapshot, open_what_is_here

_MAX_PROBLEMS: Final = 20


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Check every checksum, then every list of every user."
    verb = verbs.add_parser("verify", help=about, description=about)
    which = verb.add_mutually_exclusive_group()
    add_generation(which)
    which.add_argument("--all", action="store_true", help="every generation")
    add_json(verb)
    verb.set_defaults(run=_verify)


def _verify(store: Path, options: argparse.Namespace) -> int:
    found = [_checked(store, generation) for generation in _wanted(store, options)]
    report(options, found, (line for entry in found for line in _lines(entry)))
    return 1 if any(entry["problems"] for entry in found) else 0


def _wanted(store: Path, options: argparse.Namespace) -> list[int]:
    if not options.all:
        return [requested_generation(store, options)]
    return generations(store) or [current(store)]  # `current` raises the right error


def _checked(store: Path, generation: int) -> dict[str, Any]:
    n_lists = 0
    try:
        with open_what_is_here(store, generation, progress=on_terminal) as snapshot:
            n_lists = _n_lists(snapshot)
            broken = broken_records(snapshot, on_terminal)
            problems = list(itertools.islice(broken, _MAX_PROBLEMS))
            del broken  # removes the line of its progress
    except (CorruptSnapshotError, IncompatibleSnapshotError) as error:
        problems = [str(error)]
    return {"generation": generation, "n_lists": n_lists, "problems": problems}


def _n_lists(snapshot: Snapshot) -> int:
    """Return the number of lists that are here; the manifest counts those of all shards."""
    if snapshot.closed_shards:
        return sum(1 for _ in snapshot.users)
    return snapshot.manifest.counts.get("recs.mdb/users", 0)


def _lines(entry: dict[str, Any]) -> Iterable[str]:
    problems = entry["problems"] or [f"ok; {entry['n_lists']:,} lists checked"]
    return (f"generation {entry['generation']}: {problem}" for problem in problems)
