"""Why an item stands at its rank: its score and rank by the served model, and what moved it.

The served model is folded in with the history that the snapshot keeps for the user, which
gives the very scores that the list was made from. An item is placed by the `model` where the
answer's items, sorted by the model, have it at the same rank: items above it that are
missing were hidden. Otherwise the reordering `rules` moved it. The last places that
`[rules] explore` fills are placed by `explore`.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from batch.served.files import SnapshotModel, open_served
from batch.topk import NO_ITEM
from batch.unavailable import Unavailable
from store.layout import LIST_LENGTH
from store.snapshot import Snapshot
from stream.online.served_lists import LIST

_MODEL: Final = "model"
_RULES: Final = "rules"
_EXPLORE: Final = "explore"


class Placement(NamedTuple):
    """Place of an item in an answer.

    Attributes:
        rank: Rank in the answer, from 1.
        item_id: Item.
        score: Score by the served model; None if the snapshot does not say.
        model_rank: Rank among all items that the user did not have; None in the same case.
        placed_by: `model`, `rules` or `explore`; the source of a list that is not the user's
            own; None if the snapshot does not say.
    """

    rank: int
    item_id: str
    score: float | None
    model_rank: int | None
    placed_by: str | None


def placements(
    snapshot: Snapshot, user_id: str, items: Sequence[str], source: str
) -> list[Placement]:
    """Return the place of each item of an answer.

    Args:
        snapshot: Open snapshot of the generation that answered.
        user_id: User of the answer.
        items: Item ids of the answer, best first.
        source: Source of the answer.

    Raises:
        CorruptSnapshotError: The served model is damaged.
    """
    with open_served(snapshot) as served:
        if source != LIST or isinstance(served, Unavailable):
            by = None if source == LIST else source
            return [Placement(rank, name, None, None, by) for rank, name in enumerate(items, 1)]
        ranked = _ranked(served, user_id)
    rules = snapshot.manifest.parameters.get("rules", {})
    unknown = (len(ranked) + 1, None)
    by_model = sorted(items, key=lambda name: ranked.get(name, unknown)[0])
    n_model = LIST_LENGTH - _n_explored(rules)
    found = []
    for rank, name in enumerate(items, 1):
        model_rank, score = ranked.get(name, (None, None))
        is_in_order = by_model[rank - 1] == name
        placed_by = _EXPLORE if rank > n_model else _MODEL if is_in_order else _RULES
        found.append(Placement(rank, name, score, model_rank, placed_by))
    return found


def _ranked(served: SnapshotModel, user_id: str) -> dict[str, tuple[int, float]]:
    """Return rank and score by the model of each item that the user did not have."""
    ranker = served.fold_in(served.histories([user_id]))
    best = ranker.top_k(len(served.item_ids), n_threads=1)
    pairs = zip(best.item_rows[0].tolist(), best.scores[0].tolist(), strict=True)
    ranked = enumerate((row, score) for row, score in pairs if row != NO_ITEM)
    return {served.item_ids[row]: (place + 1, score) for place, (row, score) in ranked}


def _n_explored(rules: dict[str, Any]) -> int:
    explored = rules.get("explore", 0)
    return explored if isinstance(explored, int) else 0
