"""What changed between two snapshots: one walk over both, side by side.

Two lists are compared in two ways, both 1 for equal lists and 0 for lists
that share nothing: by what they hold (overlap) and by its order (rank-biased
overlap, which gives the first places their weight).
"""

import functools
import heapq
from collections import Counter
from dataclasses import dataclass
from typing import Final

from store.layout import LIST_LENGTH
from store.merge_join import merge_join
from store.snapshot import Snapshot

Names = list[bytes]

_PERSISTENCE: Final = 0.9  # of a reader who looks at one more place: 86 % of the weight in 10


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the lists from one snapshot to another.

    Attributes:
        n_gained: Users who have a list in the second alone.
        n_lost: Users who have one in the first alone.
        n_changed: Users whose list is another one.
        n_same: Users whose list stayed.
        mean_overlap: Of the users with a list in both; None without any.
        mean_rank_overlap: Likewise, the rank-biased overlap.
        rose: Items in more lists than before, with how many more, most first.
        fell: Items in fewer, with how many fewer (below 0), most first.
    """

    n_gained: int
    n_lost: int
    n_changed: int
    n_same: int
    mean_overlap: float | None
    mean_rank_overlap: float | None
    rose: list[tuple[str, int]]
    fell: list[tuple[str, int]]


def diff(before: Snapshot, after: Snapshot, n_items: int = 10) -> Difference:
    """Compare every user's list; memory grows with the items, not with the users.

    Args:
        before: Open.
        after: Open too; it may be the same.
        n_items: How many of the items that rose, and that fell, are named.
    """
    n: Counter[str] = Counter()
    lists: Counter[bytes] = Counter()
    sum_overlap = sum_rank_overlap = 0.0
    for _, found in merge_join({"a": before.users, "b": after.users}):
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
    return Difference(
        n_gained=n["gained"],
        n_lost=n["lost"],
        n_changed=n["changed"],
        n_same=n["same"],
        mean_overlap=(n["same"] + sum_overlap) / n_both if n_both else None,
        mean_rank_overlap=(n["same"] + sum_rank_overlap) / n_both if n_both else None,
        rose=_furthest(lists, n_items, 1),
        fell=_furthest(lists, n_items, -1),
    )


def overlap(a: Names, b: Names) -> float:
    """Return the share of their first 20 items that two lists have in common.

    Of lists of unequal length the longer one is the whole, so an item lost counts.
    """
    a, b = a[:LIST_LENGTH], b[:LIST_LENGTH]
    return len(set(a) & set(b)) / max(len(a), len(b))


def rank_biased_overlap(a: Names, b: Names, p: float = _PERSISTENCE) -> float:
    """Return how far two rankings agree, the first places counting most.

    X_d is the number of items that both have among their first d; beyond the
    end of the shorter list, agreement is taken to go on as it was there.

    Args:
        a: Not empty, no item twice.
        b: Likewise.
        p: How likely a reader of place d is to look at place d + 1.

    Source:
        Webber, Moffat and Zobel, "A Similarity Measure for Indefinite
        Rankings", ACM TOIS 28(4), 2010, equation 32 (RBO_EXT).
    """
    short, long = sorted((a, b), key=len)
    s, l = len(short), len(long)  # noqa: E741 (the paper's own letters)
    place = {name: d for d, name in enumerate(short, 1)}
    both_by = [max(d, place[name]) for d, name in enumerate(long, 1) if name in place]
    x_s, x_l = sum(d <= s for d in both_by), len(both_by)
    agreement = sum(_from_depth(d, l, p) for d in both_by)  # sum of X_d / d · p^d, item by item
    agreement += sum(x_s * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return (1 - p) / p * agreement + ((x_l - x_s) / l + x_s / s) * p**l


@functools.cache  # lists have 20 places: a few hundred values in all
def _from_depth(first: int, last: int, p: float) -> float:
    """Return what an item adds that both lists hold from depth `first` on."""
    return sum(p**d / d for d in range(first, last + 1))


def _furthest(lists: Counter[bytes], n_items: int, sign: int) -> list[tuple[str, int]]:
    moved = ((-sign * n, name) for name, n in lists.items() if sign * n > 0)
    return [(name.decode(), -sign * n) for n, name in heapq.nsmallest(n_items, moved)]
