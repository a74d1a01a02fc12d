"""`diff`: how the users' lists of two generations differ."""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from store.commands.output import add_json, report, table
from store.diff import SnapshotDiff, diff
from store.progress import on_terminal
from store.snapshot import open_snapshot


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Compare the users' lists of two generations."
    verb = verbs.add_parser("diff", help=about, description=about)
    verb.add_argument("a", type=int, metavar="A", help="first generation")
    verb.add_argument("b", type=int, metavar="B", help="second generation")
    add_json(verb)
    verb.set_defaults(run=_diff)


def _diff(store: Path, options: argparse.Namespace) -> int:
    with open_snapshot(store, options.a, progress=on_terminal) as before:
        if options.a == options.b:  # LMDB must not open a file twice in a process
            found = diff(before, before, progress=on_terminal)
        else:
            with open_snapshot(store, options.b, progress=on_terminal) as after:
                found = diff(before, after, progress=on_terminal)
    generations = {"before": options.a, "after": options.b}
    report(options, generations | dataclasses.asdict(found), _lines(options, found))
    return 0


def _lines(options: argparse.Namespace, found: SnapshotDiff) -> Iterator[str]:
    yield from table(
        (f"from {options.a} to {options.b}", ""),
        [
            ("users gained", f"{found.n_gained:,}"),
            ("users lost", f"{found.n_lost:,}"),
            ("lists changed", f"{found.n_changed:,}"),
            ("lists the same", f"{found.n_same:,}"),
            ("mean overlap@20", _share(found.mean_overlap)),
            ("mean rank-biased overlap (p = 0.9)", _share(found.mean_rank_overlap)),
        ],
    )
    moved = [(name, f"{n:+,}") for name, n in (*found.rose, *reversed(found.fell))]
    if moved:
        yield ""
        yield from table(("item", "lists"), moved)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
