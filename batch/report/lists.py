"""The lists of a generation, aggregated beside those of its parent.

users of both, some thousand at a time ─► (n, 20) item numbers ─┬─► overlap@20, by number
                                                                ├─► lists that hold an item
                                                                └─► ten users, by a hash
"""

import heapq
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import ItemRows, Rows
from batch.topk import NO_ITEM
from store.layout import LIST_LENGTH
from store.snapshot import Snapshot

_CHUNK: Final = 10_000  # users compared at a time: 4 MB of comparisons


@dataclass(frozen=True, slots=True)
class ListComparison:
    """Lists of a generation, and of its parent.

    Attributes:
        item_ids: Ids of all items of both, ascending.
        n_lists: Users with a list.
        overlap: (21,) users with a list in both, by the number of items that both lists hold.
        n_holding: (n_items,) lists of the generation that hold each item.
        n_held_before: (n_items,) lists of the parent that hold each item.
        users: Users with a list in both whose ids have the smallest hashes.
    """

    item_ids: list[str]
    n_lists: int
    overlap: list[int]
    n_holding: Rows
    n_held_before: Rows
    users: list[str]


def compare_lists(new: Snapshot, parent: Snapshot | None, n_users: int) -> ListComparison:
    """Read all lists once, and count.

    Args:
        new: Snapshot of the generation.
        parent: Snapshot of its parent; None without one.
        n_users: Number of users to name.
    """
    both = [new] if parent is None else [new, parent]
    names = sorted({value for snapshot in both for _, value in snapshot.rows})
    item_ids = pa.array(names, pa.binary()).cast(pa.string())
    overlap, n_lists = np.zeros(LIST_LENGTH + 1, np.int64), 0
    n_holding, n_held_before = np.zeros((2, len(names)), np.int64)
    first: list[tuple[int, bytes]] = []
    records = iter(new.users)
    while chunk := list(itertools.islice(records, _CHUNK)):
        lists = item_numbers([body for _, body in chunk], item_ids)
        n_lists += len(chunk)
        n_holding += _n_each(lists, len(names))
        if parent is None:
            continue
        before = [parent.users.get(user) for user, _ in chunk]
        kept = np.array([body is not None for body in before])
        old = item_numbers([body for body in before if body is not None], item_ids)
        n_held_before += _n_each(old, len(names))
        overlap += np.bincount(n_common(lists[kept], old), minlength=LIST_LENGTH + 1)
        shared = ((zlib.crc32(chunk[row][0]), chunk[row][0]) for row in np.flatnonzero(kept))
        first = heapq.nsmallest(n_users, itertools.chain(first, shared))
    if parent is not None:
        n_held_before += _n_held_by_others(parent, new, item_ids)
    return ListComparison(
        item_ids.to_pylist(), n_lists, overlap.tolist(), n_holding, n_held_before,
        [user.decode() for _, user in first],
    )  # fmt: skip


def item_numbers(bodies: Sequence[bytes], item_ids: pa.StringArray) -> ItemRows:
    """Return (n_users, 20) places of the items in `item_ids`; NO_ITEM behind the end of a list.

    Args:
        bodies: Lists as they are stored: item ids joined by commas.
        item_ids: Ids of all items.
    """
    lists = pc.split_pattern(pa.array(bodies, pa.binary()).cast(pa.string()), ",")
    n_items = np.diff(lists.offsets.to_numpy())
    numbers = np.full((len(bodies), LIST_LENGTH), NO_ITEM, np.int32)
    found = pc.index_in(lists.values, value_set=item_ids).fill_null(NO_ITEM)
    numbers[np.arange(LIST_LENGTH) < n_items[:, None]] = found.to_numpy(zero_copy_only=False)
    return numbers


def n_common(lists: ItemRows, others: ItemRows) -> Rows:
    """Return (n_users,) numbers of items that both lists of a user hold, in any order."""
    others = np.where(others == NO_ITEM, NO_ITEM - 1, others)  # no end of a list equals another
    is_same = lists[:, :, None] == others[:, None, :]
    return np.asarray(np.count_nonzero(is_same.reshape(len(lists), -1), axis=1), np.int64)


def _n_held_by_others(parent: Snapshot, new: Snapshot, item_ids: pa.StringArray) -> Rows:
    """Return the parent's lists of users without a new one, by the items that they hold."""
    n_held = np.zeros(len(item_ids), np.int64)
    bodies = (body for user, body in parent.users if new.users.get(user) is None)
    while chunk := list(itertools.islice(bodies, _CHUNK)):
        n_held += _n_each(item_numbers(chunk, item_ids), len(item_ids))
    return n_held


def _n_each(lists: ItemRows, n_items: int) -> Rows:
    return np.bincount(lists[lists != NO_ITEM], minlength=n_items)
