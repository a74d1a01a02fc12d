"""What `python -m stream explain USER` prints: what places each item of a list.

list, as the server answers it ─┐
its history ─► model ───────────┼─► contributions ─► "because of alien 61 %, brazil 22 %"
               rules ───────────┴─► places ────────► "model 4, hidden 3, boosts 1"
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from batch.rules.alone import MODEL
from batch.unavailable import Unavailable
from store.config import StoreSettings, load_section, number_of
from store.explain import ListInSnapshot, arm_of, list_in
from store.fresh import FRESH_HOURS, FreshLists
from store.ids import check_user_ids
from store.pointer import current
from store.snapshot import open_what_is_here
from store.takedown import takedowns
from stream.errors import StreamError
from stream.fresh.model import FreshModel, Why, open_model

N_REASONS: Final = 3


class ExplainedList(NamedTuple):
    """A user's list, and what places each item.

    Attributes:
        user_id: User of the list.
        generation: Generation that made it.
        arm: Arm of the user in a running experiment; None without one.
        answer: The list, its source and its history.
        why: What places each item of the list.
    """

    user_id: str
    generation: int
    arm: str | None
    answer: ListInSnapshot
    why: list[Why]


def explain_list(
    store: Path, user_id: str, fresh_hours: float = FRESH_HOURS, generation: int | None = None
) -> ExplainedList:
    """Return the list that the server answers to a user, and what places each item.

    Args:
        store: Directory of the store.
        user_id: The user.
        fresh_hours: Age in hours from which the server does not use a fresh list.
        generation: Generation whose list is explained; None: the one that answers the user.

    Raises:
        StreamError: The user has no list of their own, or its model cannot fold in users.
        StoreError: The id is not valid, or the snapshot is missing or damaged.
        BatchError: The deny list cannot be read.
    """
    check_user_ids([user_id])
    served = current(store)
    arm = arm_of(store, user_id, served)
    of_user = arm.generation if arm else served
    chosen = of_user if generation is None else generation
    with open_what_is_here(store, chosen) as snapshot:
        snapshot.check_user(user_id)
        answer = list_in(store, snapshot, user_id, fresh_hours)
    if answer.source not in ("fresh", "list"):
        problem = "has no list of their own; the answer depends on the request"
        raise StreamError(f"user {user_id}", problem, "collect events of the user first")
    with open_model(store, chosen, n_threads=1) as model:
        if isinstance(model, Unavailable):
            problem = f"its lists cannot be explained: {model.reason}"
            remedy = 'set fold_in = "on" in [batch]; the next refresh writes what is needed'
            raise StreamError(f"generation {chosen}", problem, remedy)
        history = _history(store, model, user_id.encode(), is_fresh=answer.source == "fresh")
        why = model.why(user_id.encode(), history, answer.items, takedowns(store))
    return ExplainedList(user_id, chosen, arm.name if arm else None, answer, why)


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
    found = explain_list(store, options.user, fresh_hours, options.generation)
    why = [one._replace(because=one.because[: options.reasons]) for one in found.why]
    found = found._replace(why=why)
    text = json.dumps(_document(found)) if options.json else "\n".join(_lines(found))
    print(text)  # noqa: T201
    return 0


def _document(found: ExplainedList) -> dict[str, Any]:
    answer = found.answer
    return {
        "user_id": found.user_id,
        "generation": found.generation,
        "arm": found.arm,
        "source": answer.source,
        "made_at": answer.made_at,
        "items": [
            {
                "item_id": name,
                "score": why.score,
                "places": why.places,
                "because": [one._asdict() for one in why.because],
            }
            for name, why in zip(answer.items, found.why, strict=True)
        ],
        "history": answer.history,
    }


def _lines(found: ExplainedList) -> Iterator[str]:
    answer, made = found.answer, ""
    if answer.made_at is not None:
        made = f", made at {datetime.fromtimestamp(answer.made_at, UTC).isoformat(' ', 'seconds')}"
    arm = f", arm {found.arm}" if found.arm else ""
    yield f"user {found.user_id}: {answer.source} of generation {found.generation}{arm}{made}"
    width = max(map(len, answer.items), default=0)
    for rank, (name, why) in enumerate(zip(answer.items, found.why, strict=True), 1):
        because = ", ".join(f"{one.item_id} {one.share:.0%}" for one in why.because)
        yield f"{rank:>3}  {name:<{width}}  {because or '– popular'}{_moves(rank, why)}"


def _moves(rank: int, why: Why) -> str:
    """Return the places on the way to another place than the model's; else nothing."""
    model = why.places.get(MODEL)
    if model is None or {*why.places.values()} == {rank}:
        return ""
    moves, before = [f"model {model}"], model
    for rule, place in why.places.items():
        if place is not None and place != before:
            moves.append(f"{rule} {place}")
            before = place
    if before != rank:
        moves.append(f"answer {rank}")
    return f"  ({', '.join(moves)})"
