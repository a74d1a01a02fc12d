"""Making the report of a generation: four files beside its manifest.

    report.json   every number        report.html   the page        MODEL_CARD.md   the card
    list_counts.json   number of users' lists that hold each item, for the server's pages

They are written after the snapshot is published, each replaced atomically. So a report that
fails leaves the refresh as it is, and the stage of publishing is among its figures.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batch.report.changes import N_USERS
from batch.report.document import document
from batch.report.lists import ListComparison, compare_lists
from batch.report.model_card import markdown
from batch.report.page import page
from batch.report.past import read_report
from batch.report.settings import ReportSettings
from store.durable import replace_durable
from store.errors import StoreError
from store.layout import LIST_COUNTS, MODEL_CARD, REPORT_HTML, REPORT_JSON, snapshot_folder
from store.snapshot import Snapshot, open_snapshot


def make_report(
    store: Path,
    generation: int,
    settings: ReportSettings,
    recorded: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of a generation, and return the path of its page.

    Args:
        store: Directory of the store.
        generation: Generation in the store.
        settings: Settings of the report.
        recorded: Summary of the refresh, as plain data; None: what its report recorded, if it
            has one.

    Raises:
        StoreError: The snapshot is missing or damaged.
        OSError: The files cannot be written.
    """
    if recorded is None:
        recorded = (read_report(store, generation) or {}).get("refresh")
    with contextlib.ExitStack() as held:
        new = held.enter_context(open_snapshot(store, generation, verified=True))
        parent = _parent(store, new, held)
        lists = compare_lists(new, parent, N_USERS)
        found = document(store, new, parent, lists, recorded, settings)
    text = json.dumps(found, indent=1, allow_nan=False)
    found = json.loads(text)  # so that the page shows what the file holds
    folder = snapshot_folder(store, generation)
    files = {
        REPORT_JSON: text + "\n",
        REPORT_HTML: page(found),
        MODEL_CARD: markdown(found),
        LIST_COUNTS: _list_counts(lists),
    }
    for name, content in files.items():
        replace_durable(folder / name, content)
    return folder / REPORT_HTML


def try_report(
    store: Path, generation: int, settings: ReportSettings, recorded: Mapping[str, Any] | None
) -> tuple[Path | None, str]:
    """Write the report of a refresh; its failure never fails the refresh.

    Returns:
        The path of the page and "", or None and a warning.
    """
    try:
        return make_report(store, generation, settings, recorded), ""
    except Exception as error:
        return None, (
            f"report of generation {generation}: not made: {error!r}; the snapshot is complete; "
            f"make it by `python -m batch report {generation} --store {store}`"
        )


def _list_counts(lists: ListComparison) -> str:
    """Return the number of lists that hold each item, as JSON by item id."""
    n_holding = lists.n_holding.tolist()
    counts = {item: n for item, n in zip(lists.item_ids, n_holding, strict=True) if n}
    return json.dumps(counts, separators=(",", ":")) + "\n"


def _parent(store: Path, new: Snapshot, held: contextlib.ExitStack) -> Snapshot | None:
    """Open the parent; None if there is none, or it was pruned or is damaged."""
    if new.manifest.parent is None:
        return None
    with contextlib.suppress(StoreError):
        return held.enter_context(open_snapshot(store, new.manifest.parent, verified=True))
    return None
