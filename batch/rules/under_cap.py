"""Lists under the cap: where candidates run out, further ones are searched for.

    candidates ─► capped ─► full lists
                      └───► short ones ─► search among items with room ─► capped ─► …

The second search is done for a chunk of users at a time, in the order of their rows:
as many as fit in memory, each with enough candidates for the whole chunk.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from batch.arrays import Rows
from batch.models.fill import filled
from batch.rules.cap import Room, capped
from batch.rules.lists import lengths
from batch.rules.search import Search
from batch.topk import NO_ITEM, TopK
from store.layout import LIST_LENGTH

_CHUNK: Final = 8192  # users searched for at a time
_MAX_CANDIDATES: Final = 500
NO_LIMITS: Final[Mapping[int, int]] = MappingProxyType({})


def under_cap(
    candidates: TopK,
    share: float,
    search: Search,
    n_kept: int,
    limits: Mapping[int, int] = NO_LIMITS,
) -> TopK:
    """Return the lists with no item in more than a share of them.

    A list is short only if no other item of its user has any room left.

    Args:
        candidates: (n_users, k) candidates of all users, best first.
        share: Maximum share of the lists with the same item.
        search: Search for further candidates.
        n_kept: Number of items kept, spares included.
        limits: Maximum lists of some items, by item row, where it is less.
    """
    n_lists = int((candidates.item_rows[:, 0] != NO_ITEM).sum())
    room = Room(len(search.hidden), n_lists, share)
    for item_row, limit in limits.items():
        room.left[item_row] = min(limit, room.limit)
    lists = capped(candidates, LIST_LENGTH, room, n_kept)
    short = np.flatnonzero(lengths(lists) < LIST_LENGTH)
    for first in range(0, len(short), _CHUNK):
        _search_on(lists, short[first : first + _CHUNK], room, search)
    return lists


def under_limits(lists: TopK, limits: Mapping[int, int], search: Search, n_kept: int) -> TopK:
    """Return the lists with no item in more of them than its limit; see `under_cap`."""
    if not limits:
        return lists
    n_listed = np.bincount(
        lists.item_rows[:, :LIST_LENGTH].ravel() + 1, minlength=len(search.hidden) + 1
    )[1:]
    if all(n_listed[item_row] <= limit for item_row, limit in limits.items()):
        return lists
    return under_cap(lists, 1.0, search, n_kept, limits)


def _search_on(lists: TopK, user_rows: Rows, room: Room, search: Search) -> None:
    """Fill the lists of some users as far as items have room."""
    n_kept = lists.item_rows.shape[1]
    while len(user_rows):
        own = TopK(lists.item_rows[user_rows], lists.scores[user_rows])
        n_held = lengths(own)
        n_contested = int((LIST_LENGTH - n_held).sum()) // room.limit  # if all request the same
        n_more = min(n_kept + LIST_LENGTH + n_contested, _MAX_CANDIDATES)
        more = search(n_more, user_rows, also_hidden=np.flatnonzero(room.left == 0))
        more = capped(_without(more, own), LIST_LENGTH - n_held, room, n_kept)
        if (more.item_rows[:, 0] == NO_ITEM).all():
            return
        lists.item_rows[user_rows], lists.scores[user_rows] = filled(own, more)
        user_rows = user_rows[lengths(lists)[user_rows] < LIST_LENGTH]


def _without(lists: TopK, others: TopK) -> TopK:
    is_there = np.zeros(lists.item_rows.shape, np.bool_)
    for column in others.item_rows.T:
        is_there |= lists.item_rows == column[:, None]
    return TopK(np.where(is_there, np.int32(NO_ITEM), lists.item_rows), lists.scores)
