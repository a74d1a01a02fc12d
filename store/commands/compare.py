"""`compare`: parameters and metrics of two generations side by side."""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from store.commands.output import add_json, report, table
from store.compare import ComparedEntry, Presence, compare, interval, relative_change
from store.manifest import manifest_of

_MARKS: Final = {
    Presence.SAME: "",
    Presence.DIFFERS: "*",
    Presence.ONLY_A: "<",
    Presence.ONLY_B: ">",
}
_MAX_CHARACTERS: Final = 40  # of a value in the table


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Show parameters and metrics of two generations side by side."
    marks = "* marks a difference, < what A alone has, > what B alone has."
    verb = verbs.add_parser("compare", help=about, description=f"{about} {marks}")
    verb.add_argument("a", type=int, metavar="A", help="first generation, which may be pruned")
    verb.add_argument("b", type=int, metavar="B", help="second generation")
    verb.add_argument("--changed", action="store_true", help="leave out what is the same")
    add_json(verb)
    verb.set_defaults(run=_compare)


def _compare(store: Path, options: argparse.Namespace) -> int:
    entries = compare(manifest_of(store, options.a), manifest_of(store, options.b))
    if options.changed:
        entries = [entry for entry in entries if entry.presence != Presence.SAME]
    document = {
        "a": options.a,
        "b": options.b,
        "entries": [dataclasses.asdict(entry) for entry in entries],
    }
    report(options, document, _lines(options, entries))
    return 0


def _lines(options: argparse.Namespace, entries: list[ComparedEntry]) -> Iterator[str]:
    rows = []
    subject = ""
    for entry in entries:
        shown, subject = "" if entry.subject == subject else entry.subject, entry.subject
        a = "" if entry.presence is Presence.ONLY_B else _text(entry, entry.a)
        b = "" if entry.presence is Presence.ONLY_A else _text(entry, entry.b)
        rows.append((_MARKS[entry.presence], shown, entry.words, a, b, _change(entry)))
    yield from table(("", "", "", f"generation {options.a}", f"generation {options.b}", ""), rows)


def _text(entry: ComparedEntry, value: Any) -> str:
    if value in (None, "", [], {}):
        return "–"
    if found := interval(entry.part, value):
        return f"{found[0]:g} ({found[1]:g} to {found[2]:g})"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = f"{value:,}" if type(value) is int else str(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


def _change(entry: ComparedEntry) -> str:
    """Return the change as a share of the first value, and whether it is significant."""
    if not entry.is_comparable:
        return "of another day" if entry.presence is Presence.DIFFERS else ""
    change = relative_change(entry)
    if change is None:
        return ""
    sure = (
        "" if entry.n_intervals is None else ", significant" if entry.n_intervals > 1 else ", n.s."
    )
    return f"{change:+.1%}{sure}"
