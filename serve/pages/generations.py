"""The JSON of the generations of a store, and of two of them compared."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from serve.pages.opened import OpenedSnapshot
from serve.pages.verdicts import ReportVerdict, ReportVerdicts
from store.compare import Presence, compare
from store.diff import diff
from store.errors import StoreError
from store.layout import REPORT_HTML, generations, snapshot_folder
from store.manifest import Manifest, read_manifest
from store.parse import is_count
from store.pointer import current_or_none, pinned

_N_MOVED_ITEMS: Final = 15


def all_generations(store: Path, verdicts: ReportVerdicts) -> dict[str, Any]:
    """Return the generations of a store, newest first, from their manifests and reports."""
    pin = pinned(store)
    return {
        "current": current_or_none(store),
        "pin": pin.generation if pin else None,
        "generations": [_entry(store, number, verdicts) for number in reversed(generations(store))],
    }


def compared(before: OpenedSnapshot, after: OpenedSnapshot) -> dict[str, Any]:
    """Return what differs: users' lists, items in more and in fewer lists, entries of manifests."""
    found = asdict(diff(before.snapshot, after.snapshot, _N_MOVED_ITEMS))
    for name in ("rose", "fell"):
        found[name] = [after.about(item_id) | {"change": n} for item_id, n in found[name]]
    entries = compare(before.snapshot.manifest, after.snapshot.manifest)
    differing = [asdict(entry) for entry in entries if entry.presence is not Presence.SAME]
    return found | {"entries": differing, "n_equal_entries": len(entries) - len(differing)}


def _entry(store: Path, generation: int, verdicts: ReportVerdicts) -> dict[str, Any]:
    try:
        manifest = read_manifest(snapshot_folder(store, generation))
    except StoreError as error:
        return {"generation": generation, "error": str(error)}
    verdict = verdicts.of(generation)
    return {
        "generation": generation,
        "parent": manifest.parent,
        "arm": manifest.arm,
        "finished_at": manifest.finished_at,
        "data_until": data_until(manifest),
        "n_users": manifest.counts.get("recs.mdb/users"),
        "n_items": manifest.counts.get("recs.mdb/items"),
        "n_bytes": sum(manifest.files.values()),
        "has_report": (snapshot_folder(store, generation) / REPORT_HTML).is_file(),
        "report": asdict(verdict),
        "small_groups": [*_small_groups(manifest, verdict)],
        "gate": manifest.gate.as_json(),
        "metrics": manifest.metrics,
    }


def data_until(manifest: Manifest) -> str | None:
    """Return the time of the last event that was read; None if the manifest does not have it."""
    found = manifest.metrics.get("data_until")
    return found if isinstance(found, str) else None


def _small_groups(manifest: Manifest, verdict: ReportVerdict) -> Iterator[dict[str, Any]]:
    """Yield the groups that the report leaves out, each with its number of evaluated users."""
    last_day = manifest.metrics.get("last_day")
    groups = last_day.get("groups") if isinstance(last_day, dict) else None
    if verdict.min_group_users is None or not isinstance(groups, list):
        return
    for one in groups:
        if isinstance(one, dict) and is_count(one.get("n_users"), 0, verdict.min_group_users - 1):
            yield {"group": str(one.get("group")), "n_users": one["n_users"]}
