"""The difference between two snapshots: one pass over both in key order.

Two lists are compared by two measures, both 1 for equal lists and 0 for disjoint
ones: overlap ignores the order, and rank-biased overlap weights the first ranks
most.
"""

import functools
import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from store.items import ItemIds
from store.layout import LIST_LENGTH, RECS
from store.merge_join import merge_join
from store.progress import RECORDS, Progress, counted, silent
from store.snapshot import Snapshot

_PERSISTENCE: Final = (
    0.9  # probability of reading one rank further: 86 % of the weight in the first 10
)


@dataclass(frozen=True, slots=True)
class SnapshotDiff:
    """How the users' lists of two snapshots differ.

    Attributes:
        n_gained: Number of users with a list in the second snapshot alone.
        n_lost: Number of users with a list in the first snapshot alone.
        n_changed: Number of users whose list changed.
        n_same: Number of users whose list is equal.
        mean_overlap: Mean overlap of the users with a list in both; None without any.
        mean_rank_overlap: Mean rank-biased overlap of the same users; None without any.
        rose: Items in more lists than before and the increase, largest first.
        fell: Items in fewer lists than before and the change (below 0), largest first.
    """

    n_gained: int
    n_lost: int
    n_changed: int
    n_same: int
    mean_overlap: float | None
    mean_rank_overlap: float | None
    rose: list[tuple[str, int]]
    fell: list[tuple[str, int]]


def diff(
    before: Snapshot, after: Snapshot, n_items: int = 10, progress: Progress = silent
) -> SnapshotDiff:
    """Compare every user's list; memory grows with the items, not with the users.

    Args:
        before: First snapshot, open.
        after: Second snapshot, open; it may be the same object.
        n_items: Maximum length of `rose` and of `fell`.
        progress: What shows how many users are compared.
    """
    n: Counter[str] = Counter()
    lists: Counter[bytes] = Counter()
    sum_overlap = sum_rank_overlap = 0.0
    for found in _pairs(before, after, progress):
        if len(found) == 2 and found["a"] == found["b"]:
            n["same"] += 1
            continue
        a, b = (found[side].split(b",") if side in found else [] for side in "ab")
        lists.update(b)
        lists.subtract(a)
        if a and b:
            n["changed"] += 1
            sum_overlap += overlap(a, b)
            sum_rank_overlap += rank_biased_overlap(a, b)
        else:
            n["gained" if b else "lost"] += 1
    n_both = n["same"] + n["changed"]
    return SnapshotDiff(
        n_gained=n["gained"],
        n_lost=n["lost"],
        n_changed=n["changed"],
        n_same=n["same"],
        mean_overlap=(n["same"] + sum_overlap) / n_both if n_both else None,
        mean_rank_overlap=(n["same"] + sum_rank_overlap) / n_both if n_both else None,
        rose=_furthest(lists, n_items, 1),
        fell=_furthest(lists, n_items, -1),
    )


def _pairs(before: Snapshot, after: Snapshot, progress: Progress) -> Iterator[dict[str, bytes]]:
    """Yield the lists of each user, by snapshot: `a` and `b`."""
    sides = {"a": before, "b": after}
    n_lists = sum(side.manifest.counts[f"{RECS}/users"] for side in sides.values())
    name = f"lists of {before.generation} and {after.generation}"
    with progress(name, n_lists, RECORDS) as advance:
        lists = {name: counted(side.users, advance) for name, side in sides.items()}
        for _, found in merge_join(lists):
            yield found


def overlap(a: ItemIds, b: ItemIds) -> float:
    """Return the share of the first 20 items that two lists have in common.

    The longer list is the denominator, so a lost item lowers the share.
    """
    a, b = a[:LIST_LENGTH], b[:LIST_LENGTH]
    return len(set(a) & set(b)) / max(len(a), len(b))


def rank_biased_overlap(a: ItemIds, b: ItemIds, p: float = _PERSISTENCE) -> float:
    """Return the rank-biased overlap of two rankings: the first ranks count most.

    X_d is the number of items that both have among their first d. Beyond the end
    of the shorter list, its agreement is extrapolated.

    Args:
        a: First ranking, not empty, no item twice.
        b: Second ranking, not empty, no item twice.
        p: Probability that a reader of rank d reads rank d + 1.

    Source:
        Webber, Moffat and Zobel, "A Similarity Measure for Indefinite
        Rankings", ACM TOIS 28(4), 2010, equation 32 (RBO_EXT).
    """
    short, long = sorted((a, b), key=len)
    s, l = len(short), len(long)  # noqa: E741 (the paper's own letters)
    rank = {name: d for d, name in enumerate(short, 1)}
    both_by = [max(d, rank[name]) for d, name in enumerate(long, 1) if name in rank]
    x_s, x_l = sum(d <= s for d in both_by), len(both_by)
    agreement = sum(_from_depth(d, l, p) for d in both_by)  # sum of X_d / d · p^d, item by item
    agreement += sum(x_s * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return (1 - p) / p * agreement + ((x_l - x_s) / l + x_s / s) * p**l


@functools.cache  # lists have 20 ranks: a few hundred values in all
def _from_depth(first: int, last: int, p: float) -> float:
    """Return the contribution of an item that both lists hold from depth `first` on."""
    return sum(p**d / d for d in range(first, last + 1))


def _furthest(lists: Counter[bytes], n_items: int, sign: int) -> list[tuple[str, int]]:
    moved = ((-sign * n, name) for name, n in lists.items() if sign * n > 0)
    return [(name.decode(), -sign * n) for n, name in heapq.nsmallest(n_items, moved)]
