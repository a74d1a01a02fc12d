"""The JSON of the generations of a store, and of two of them compared."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from serve.pages.opened import OpenedSnapshot
from store.compare import Presence, compare
from store.diff import diff
from store.errors import StoreError
from store.layout import REPORT_HTML, generations, snapshot_folder
from store.manifest import read_manifest
from store.pointer import current_or_none, pinned

_N_MOVED_ITEMS: Final = 15


def all_generations(store: Path) -> dict[str, Any]:
    """Return the generations of a store, newest first, from their manifests."""
    pin = pinned(store)
    return {
        "current": current_or_none(store),
        "pin": pin.generation if pin else None,
        "generations": [_entry(store, number) for number in reversed(generations(store))],
    }


def compared(before: OpenedSnapshot, after: OpenedSnapshot) -> dict[str, Any]:
    """Return what differs: users' lists, items in more and in fewer lists, entries of manifests."""
    found = asdict(diff(before.snapshot, after.snapshot, _N_MOVED_ITEMS))
    for name in ("rose", "fell"):
        found[name] = [after.about(item_id) | {"change": n} for item_id, n in found[name]]
    entries = compare(before.snapshot.manifest, after.snapshot.manifest)
    differing = [asdict(entry) for entry in entries if entry.presence is not Presence.SAME]
    return found | {"entries": differing, "n_equal_entries": len(entries) - len(differing)}


def _entry(store: Path, generation: int) -> dict[str, Any]:
    try:
        manifest = read_manifest(snapshot_folder(store, generation))
    except StoreError as error:
        return {"generation": generation, "error": str(error)}
    return {
        "generation": generation,
        "parent": manifest.parent,
        "finished_at": manifest.finished_at,
        "n_users": manifest.counts.get("recs.mdb/users"),
        "n_items": manifest.counts.get("recs.mdb/items"),
        "n_bytes": sum(manifest.files.values()),
        "has_report": (snapshot_folder(store, generation) / REPORT_HTML).is_file(),
        "gate": manifest.gate.as_json(),
        "metrics": manifest.metrics,
    }
