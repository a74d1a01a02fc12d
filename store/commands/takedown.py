"""`takedown` and `restore`: hide items from every answer now, and undo it."""

import argparse
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from store.commands.output import add_json, add_why, remark, report, table
from store.errors import NoSnapshotError, StoreError
from store.layout import RECS, generations, snapshot_folder
from store.manifest import read_manifest
from store.options import RenamedOption
from store.snapshot import open_snapshot
from store.takedown import Takedown, restore, take_down, takedowns


def add_parser(verbs: Any) -> None:
    """Declare the verbs."""
    about = "Make every server leave items out from now on, or list the takedowns."
    verb = verbs.add_parser("takedown", help=about, description=about)
    verb.add_argument("item", nargs="*", help="an item id")
    verb.add_argument("--why", metavar="WHY", help="reason, for the journal")
    verb.add_argument("--reason", action=RenamedOption, new="--why")
    verb.add_argument("--list", action="store_true", help="print the takedowns in force")
    add_json(verb)
    verb.set_defaults(run=_takedown, usage_error=verb.error)

    about = "Undo takedowns."
    verb = verbs.add_parser("restore", help=about, description=about)
    verb.add_argument("item", nargs="+", help="an item id")
    add_why(verb)
    add_json(verb)
    verb.set_defaults(run=_restore)


def _takedown(store: Path, options: argparse.Namespace) -> int:
    if options.list == bool(options.item) or options.list == bool(options.why):
        options.usage_error("give either ITEM… and --why, or --list alone")
    _check_exists(store)
    if options.list:
        entries = takedowns(store)
        report(options, _plain(entries), table(("item", "since", "why"), entries.values()))
        return 0
    entries = take_down(store, options.item, options.why)
    _report(options, entries)
    for item_id in options.item:
        if not _is_in_a_snapshot(store, item_id):
            remark(f"{item_id} is taken down, but is not in any snapshot")
    return 0


def _restore(store: Path, options: argparse.Namespace) -> int:
    _check_exists(store)
    _report(options, restore(store, options.item, options.why))
    return 0


def _check_exists(store: Path) -> None:
    if not store.is_dir():  # a takedown at a mistyped path would hide nothing
        raise NoSnapshotError(store, "the store does not exist")


def _report(options: argparse.Namespace, entries: dict[str, Takedown]) -> None:
    report(options, _plain(entries), [f"takedowns in force: {len(entries)}"])


def _plain(entries: dict[str, Takedown]) -> Iterable[dict[str, str]]:
    return [entry._asdict() for entry in entries.values()]


def _is_in_a_snapshot(store: Path, item_id: str) -> bool:
    return any(_is_in(store, number, item_id) for number in reversed(generations(store)))


def _is_in(store: Path, generation: int, item_id: str) -> bool:
    folder = snapshot_folder(store, generation)
    with contextlib.suppress(StoreError, OSError):
        if (folder / RECS).stat().st_size < read_manifest(folder).files[RECS]:
            return False  # mapping a truncated file would kill this process
        with open_snapshot(store, generation, verified=True, shards=()) as snapshot:
            return snapshot.items.get(item_id.encode()) is not None
    return False
