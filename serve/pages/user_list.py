"""The JSON of one user's list: the items, the history, and why each item is in the list.

An item of the history explains an item of the list that is among its nearest ones. Score and
rule are shown where the snapshot has them: see `scores`, and `_rules` below.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from serve.pages.opened import OpenedSnapshot
from store.explain import ListInSnapshot, list_in
from store.items import split
from store.layout import LIST_LENGTH
from store.model_files import history_of
from store.parse import is_count, parse_time

_MAX_REASONS: Final = 3
_MAX_HISTORY_ITEMS: Final = 200  # shown, and searched for reasons
_NEUTRAL: Final[dict[str, Any]] = {  # values of `[rules]` with which a rule does nothing
    "deny": [], "deny_file": "", "availability": False, "adult_filter": False, "boosts": [],
    "cost_weight": 0.0, "diversity": 0.0, "cap": 1.0,
}  # fmt: skip


def user_list(
    store: Path, opened: OpenedSnapshot, user_id: str, fresh_hours: float
) -> dict[str, Any]:
    """Return the list of a user in one snapshot, and its reasons.

    Raises:
        CorruptSnapshotError: The file of the histories is damaged.
    """
    manifest = opened.snapshot.manifest
    found = list_in(store, opened.snapshot, user_id, fresh_hours)
    history = (found.history or [])[:_MAX_HISTORY_ITEMS]
    near = {item_id: opened.neighbours(item_id) for item_id in history}
    rules = _rules(opened, found, user_id)
    made_at = found.made_at or parse_time(manifest.finished_at).timestamp()
    return {
        "user_id": user_id,
        "generation": manifest.generation,
        "source": found.source,
        "made_at": datetime.fromtimestamp(made_at, UTC).isoformat(timespec="seconds"),
        "age_seconds": round(time.time() - made_at),
        "items": [
            opened.about(item_id)
            | {"rank": rank, "rating": _rating(opened, user_id, item_id)}
            | {"rule": rules.get(item_id), "score": _score(opened, found, user_id, item_id)}
            | {"why": _reasons(opened, near, item_id)}
            for rank, item_id in enumerate(found.items, 1)
        ],
        "history": None if found.history is None else [opened.about(name) for name in history],
        "rules_without_trace": _rules_without_trace(opened) if found.source == "list" else [],
        "n_history": len(found.history or []),
        "n_since": _n_since(opened, found, user_id),
        "withheld": [opened.about(name) for name in found.withheld],
    }


def _n_since(opened: OpenedSnapshot, found: ListInSnapshot, user_id: str) -> int | None:
    """Return how many items a fresh list knows that the snapshot's own did not; None for another.

    An item that was watched again is not new.
    """
    if found.source != "fresh" or found.history is None:
        return None
    before = history_of(opened.snapshot, user_id)
    return None if before is None else len(set(found.history) - set(before))


def _reasons(
    opened: OpenedSnapshot, near: dict[str, list[str]], item_id: str
) -> Sequence[dict[str, Any]]:
    """Return the items of the history that have this one among their nearest, best first."""
    ranks = ((names.index(item_id) + 1, seen) for seen, names in near.items() if item_id in names)
    return [
        opened.about(seen)
        | {"rank": rank, "score": _rounded(opened.scores.similarity(seen, item_id))}
        for rank, seen in sorted(ranks)[:_MAX_REASONS]
    ]


def _rules(opened: OpenedSnapshot, found: ListInSnapshot, user_id: str) -> dict[str, str]:
    """Return the rule that placed an item, by item: `explore` drew it, or a spare moved up.

    The last places of a list are those that `[rules] explore` fills. Other rules leave no trace.
    """
    if found.source != "list":
        return {}
    stored = [name.decode() for name in split(opened.snapshot.users.get(user_id.encode()))]
    rules = opened.snapshot.manifest.parameters.get("rules") or {}
    n_drawn = rules.get("explore", 0)
    drawn = stored[LIST_LENGTH - n_drawn :] if is_count(n_drawn, 1, LIST_LENGTH) else []
    spares = set(found.items) - set(stored)
    return dict.fromkeys(drawn, "explore") | dict.fromkeys(spares, "spare")


def _rules_without_trace(opened: OpenedSnapshot) -> list[str]:
    """Return the rules that acted on a generation, and leave no trace at the items of a list.

    `reasons` runs them again, which takes seconds.
    """
    rules = opened.snapshot.manifest.parameters.get("rules") or {}
    if not isinstance(rules, dict):
        return []
    return [name for name, neutral in _NEUTRAL.items() if rules.get(name, neutral) != neutral]


def _score(
    opened: OpenedSnapshot, found: ListInSnapshot, user_id: str, item_id: str
) -> float | None:
    """Return the model's score; a fresh list has another vector of the user."""
    return _rounded(opened.scores.score(user_id, item_id)) if found.source == "list" else None


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 3)


def _rating(opened: OpenedSnapshot, user_id: str, item_id: str) -> float | None:
    found = opened.ratings.predict(user_id.encode(), item_id.encode())
    return round(found.rating, 2) if found else None
