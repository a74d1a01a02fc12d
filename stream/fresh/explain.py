"""What `python -m stream explain USER` prints: the items of a user that speak for each of a list.

list, as the server answers it ─┐
its history ─► model ───────────┴─► contributions ─► "because of alien 61 %, brazil 22 %"
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from batch.unavailable import Unavailable
from store.config import StoreSettings, load_section, number_of
from store.explain import Explanation, explain
from store.fresh import FRESH_HOURS, FreshLists
from stream.errors import StreamError
from stream.fresh.model import FreshModel, Reason, open_model

N_REASONS: Final = 3
_FIELDS: Final = ("user_id", "generation", "arm", "source", "made_at")


class ExplainedList(NamedTuple):
    """A user's list, and what speaks for each item.

    Attributes:
        answer: The list, its source and its generation.
        reasons: Items of the user for each item of the list, the strongest first.
    """

    answer: Explanation
    reasons: list[list[Reason]]


def explain_list(store: Path, user_id: str, fresh_hours: float = FRESH_HOURS) -> ExplainedList:
    """Return the list that the server answers to a user, and what speaks for each item.

    Args:
        store: Directory of the store.
        user_id: The user.
        fresh_hours: Age in hours from which the server does not use a fresh list.

    Raises:
        StreamError: The user has no list of their own, or its model cannot fold in users.
        StoreError: The id is not valid, or the snapshot is missing or damaged.
        BatchError: The deny list cannot be read.
    """
    answer = explain(store, user_id, fresh_hours=fresh_hours)
    if answer.source not in ("fresh", "list") or not answer.items:
        problem = "has no list of their own; the answer depends on the request"
        raise StreamError(f"user {user_id}", problem, "collect events of the user first")
    with open_model(store, answer.generation, n_threads=1) as model:
        if isinstance(model, Unavailable):
            problem = f"its lists cannot be explained: {model.reason}"
            remedy = 'set fold_in = "on" in [batch]; the next refresh writes what is needed'
            raise StreamError(f"generation {answer.generation}", problem, remedy)
        history = _history(store, model, user_id.encode(), is_fresh=answer.source == "fresh")
        return ExplainedList(answer, model.because(history, answer.items))


def _history(store: Path, model: FreshModel, user_id: bytes, *, is_fresh: bool) -> bytes:
    if is_fresh:
        lists = FreshLists(store)
        try:
            return lists.history(user_id) or b""
        finally:
            lists.close()
    return model.histories([user_id])[0] or b""


def explain_current(options: argparse.Namespace) -> int:
    """Explain the list that the server answers to `options.user` now."""
    store = options.store or Path(load_section("store", StoreSettings, options.config).path)
    fresh_hours = number_of("serve", "fresh_hours", FRESH_HOURS, options.config)
    answer, reasons = explain_list(store, options.user, fresh_hours)
    kept = [some[: max(options.reasons, 0)] for some in reasons]
    text = json.dumps(_document(answer, kept)) if options.json else "\n".join(_lines(answer, kept))
    print(text)  # noqa: T201
    return 0


def _document(answer: Explanation, reasons: Sequence[list[Reason]]) -> dict[str, Any]:
    about = {name: getattr(answer, name) for name in _FIELDS}
    items = [
        {"item_id": name, "because": [one._asdict() for one in some]}
        for name, some in zip(answer.items or [], reasons, strict=True)
    ]
    return about | {"items": items, "history": answer.history}


def _lines(answer: Explanation, reasons: Sequence[list[Reason]]) -> Iterator[str]:
    made = ""
    if answer.made_at is not None:
        made = f", made at {datetime.fromtimestamp(answer.made_at, UTC).isoformat(' ', 'seconds')}"
    arm = f", arm {answer.arm}" if answer.arm else ""
    yield f"user {answer.user_id}: {answer.source} of generation {answer.generation}{arm}{made}"
    names = answer.items or []
    width = max(map(len, names), default=0)
    for rank, (name, some) in enumerate(zip(names, reasons, strict=True), 1):
        because = ", ".join(f"{one.item_id} {one.share:.0%}" for one in some)
        yield f"{rank:>3}  {name:<{width}}  {because or '– popular'}"
