"""Figures of the generations before, for comparison: a line each.

Each report holds the lines of up to 30 generations, its own the last. It takes them over from
the report before it, so they outlast the snapshots that were pruned.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from store.layout import REPORT_JSON, generations, snapshot_folder

_MAX_GENERATIONS: Final = 30


def read_report(store: Path, generation: int) -> dict[str, Any] | None:
    """Return the report of a generation; None if it has none that can be read."""
    try:
        found = json.loads((snapshot_folder(store, generation) / REPORT_JSON).read_text())
        return found if found["format_version"] == 1 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def earlier_report(store: Path, generation: int) -> dict[str, Any] | None:
    """Return the newest report of the generations before one; None without any."""
    earlier = (read_report(store, one) for one in reversed(generations(store)) if one < generation)
    return next((found for found in earlier if found), None)


def lines_with(earlier: Mapping[str, Any] | None, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of the earlier generations, and the report's own."""
    before = [] if earlier is None else earlier["generations"]
    return [*before[-_MAX_GENERATIONS + 1 :], dict(own)]


def line_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a report: what is compared over the generations."""
    recorded = document["refresh"] or {}
    exposure, quality = document["exposure"], document["quality"]["last_day"]
    rejected = recorded.get("rejected")
    return {
        "generation": document["generation"],
        "n_events": recorded.get("n_events"),
        "n_rejected": None if rejected is None else sum(rejected.values()),
        "n_users": document["data"]["n_users"],
        "n_items": exposure["n_items"],
        **{
            name: exposure[name]
            for name in ("coverage", "gini", "popularity_shown", "popularity_watched")
        },
        "ndcg": quality["ndcg"]["new"][0] if quality else None,
        "seconds": document["cost"]["seconds"],
        "peak_mib": document["cost"]["peak_mib"],
        "n_bytes": document["cost"]["n_bytes"],
    }
