"""All lists under the cap: whoever's candidates come to an end goes on looking.

    candidates ─► capped ─► full lists
                      └───► short ones ─► search among what has room ─► capped ─► …

The second search is made for some users after others, in the order of their rows: as
many as fit in memory, each with candidates enough for all of them.
"""

from typing import Final

import numpy as np

from batch.arrays import Rows
from batch.models.fill import filled
from batch.rules.cap import Room, capped
from batch.rules.lists import lengths
from batch.rules.search import Search
from batch.topk import NO_ITEM, TopK
from store.layout import LIST_LENGTH

_CHUNK: Final = 8192  # users who look on at the same time
_MOST_CANDIDATES: Final = 500


def under_cap(candidates: TopK, share: float, search: Search, n_kept: int) -> TopK:
    """Return the lists with no item in more than a share of them.

    A list is shorter than it could be only if all that it might hold is in as many
    lists as may be.

    Args:
        candidates: (n_users, k) of all users, best first.
        share: Of the lists.
        search: For more candidates.
        n_kept: Items kept, spares included.
    """
    n_lists = int((candidates.item_rows[:, 0] != NO_ITEM).sum())
    room = Room(len(search.hidden), n_lists, share)
    lists = capped(candidates, LIST_LENGTH, room, n_kept)
    short = np.flatnonzero(lengths(lists) < LIST_LENGTH)
    for first in range(0, len(short), _CHUNK):
        _look_on(lists, short[first : first + _CHUNK], room, search)
    return lists


def _look_on(lists: TopK, user_rows: Rows, room: Room, search: Search) -> None:
    """Fill the lists of some users as far as it goes."""
    n_kept = lists.item_rows.shape[1]
    while len(user_rows):
        own = TopK(lists.item_rows[user_rows], lists.scores[user_rows])
        n_held = lengths(own)
        n_contested = int((LIST_LENGTH - n_held).sum()) // room.limit  # if all want the same
        n_more = min(n_kept + LIST_LENGTH + n_contested, _MOST_CANDIDATES)
        more = search(n_more, user_rows, besides=np.flatnonzero(room.left == 0))
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
