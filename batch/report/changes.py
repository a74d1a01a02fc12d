"""What changed in the lists since the parent, and how far the lists spread over the items."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from batch.arrays import Rows
from batch.report.lists import ListComparison
from batch.report.titles import histories, list_of, named, title
from store.snapshot import Snapshot

N_USERS: Final = 10  # users shown before and after
_N_ITEMS: Final = 10  # items shown that entered or left most lists
_N_TITLES: Final = 8  # items shown of a history


def changes_and_exposure(
    new: Snapshot, parent: Snapshot | None, found: ListComparison
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return what changed since the parent, None without one, and the exposure of the items."""
    number_of = {item: number for number, item in enumerate(found.item_ids)}
    with histories(new) as seen:
        viewers = seen.n_viewers(number_of) if seen else None
        latest = {user: seen.latest(user, _N_TITLES) for user in found.users} if seen else {}
    n_items = new.manifest.counts["recs.mdb/rows"]
    if parent is None:
        return None, exposure(found.n_holding, n_items, viewers)
    both = (new, parent)
    n_both = sum(found.overlap)
    n_same = sum(number * n for number, n in enumerate(found.overlap))
    users = [
        {
            "user_id": user,
            "history": named(both, latest.get(user, [])),
            "before": named(both, list_of(parent, user)),
            "after": named(both, list_of(new, user)),
        }
        for user in found.users
    ]
    return {
        "n_compared": n_both,
        "n_new_users": found.n_lists - n_both,
        "n_users_gone": parent.manifest.counts["recs.mdb/users"] - n_both,
        "overlap": found.overlap,
        "mean_overlap": round(n_same / n_both, 3) if n_both else None,
        "entered": _moved(found, both, 1),
        "left": _moved(found, both, -1),
        "users": users,
    }, exposure(found.n_holding, n_items, viewers)


def exposure(n_holding: Rows, n_items: int, n_viewers: Rows | None) -> dict[str, Any]:
    """Return coverage, Gini coefficient and popularity of what is shown.

    Args:
        n_holding: (n,) lists that hold each item.
        n_items: Items that can be recommended; those beyond `n_holding` are in no list.
        n_viewers: (n,) users that have each item; None if unknown.
    """
    n_shown = int(n_holding.sum())
    shares: dict[str, Any] = {"popularity_shown": None, "popularity_watched": None}
    if n_viewers is not None and n_shown and n_viewers.sum():
        shares["popularity_shown"] = round(float(n_holding @ n_viewers) / n_shown, 2)
        watched = float(n_viewers @ n_viewers) / float(n_viewers.sum())
        shares["popularity_watched"] = round(watched, 2)
    return {
        "n_items": n_items,
        "n_items_shown": int((n_holding > 0).sum()),
        "coverage": round(int((n_holding > 0).sum()) / n_items, 4) if n_items else 0.0,
        "gini": gini(n_holding, n_items),
        **shares,
    }


def gini(n_holding: Rows, n_items: int) -> float:
    """Return the Gini coefficient: 0 if all items are in equally many lists, near 1 if few are.

    Source:
        Dixon, Weiner, Mitchell-Olds and Woodley, "Bootstrapping the Gini coefficient of
        inequality", Ecology 68, 1987: from the ordered values.
    """
    values = np.zeros(max(n_items, len(n_holding)))
    values[: len(n_holding)] = n_holding
    values = np.sort(values)[len(values) - n_items :]  # an item of the parent alone does not count
    total = values.sum()
    if not total:
        return 0.0
    ranks = np.arange(1, n_items + 1)
    return round(float(((2 * ranks - n_items - 1) @ values) / (n_items * total)), 4)


def _moved(found: ListComparison, snapshots: Sequence[Snapshot], sign: int) -> list[dict[str, Any]]:
    """Return the items that entered (sign 1) or left (sign -1) most lists."""
    change = sign * (found.n_holding - found.n_held_before)
    order = np.argsort(-change, kind="stable")[:_N_ITEMS]
    return [
        {
            "item_id": found.item_ids[number],
            "title": title(snapshots, found.item_ids[number]),
            "before": int(found.n_held_before[number]),
            "after": int(found.n_holding[number]),
        }
        for number in order
        if change[number] > 0
    ]
