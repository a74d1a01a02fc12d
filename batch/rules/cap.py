"""The cap: no item in more than a share of all lists, against the feedback loop.

    round 1     every user requests their best candidate; an item with more requests
                than room accepts those with the best scores
    round 2     users whose list is not full request the next candidate
    …           until the lists are full, or there are no more candidates

An item stays in the lists where it ranks highest; in the others, further candidates move
up. This is deferred acceptance, and its result does not depend on the order of requests:
an item prefers an earlier rank, then a better score, then a lower user row. Since a rank
is requested only when all earlier ones are settled, an accepted request is never
revoked. The result is stable: no user can have a better item of their candidates unless
a user who ranks it higher loses it.

Source:
    Gale and Shapley, "College Admissions and the Stability of Marriage", American
    Mathematical Monthly 1962.
"""

from typing import Final

import numpy as np

from batch.arrays import Flags, Floats, Rows
from batch.topk import NO_ITEM, TopK

_ROUNDING: Final = 1e-9  # 0.29 · 100 is 28.999999999999996


class Room:
    """The number of further lists that may hold each item.

    Attributes:
        limit: Maximum lists with the same item.
        left: (n_items,) further lists that may hold each item.
    """

    def __init__(self, n_items: int, n_lists: int, share: float) -> None:
        """Give every item the same room: the share of the lists, rounded down, at least 1."""
        self.limit = max(int(share * n_lists + _ROUNDING), 1)
        self.left = np.full(n_items, self.limit, np.int64)

    def take(self, item_rows: Rows, scores: Floats) -> Flags:
        """Return (n_requests,) whether each request is accepted, and reduce the room.

        Args:
            item_rows: (n_requests,) requested item of each user, in the order of users.
            scores: (n_requests,) score of each requested item.
        """
        n_requests = np.bincount(item_rows, minlength=len(self.left))
        is_accepted = (n_requests <= self.left)[item_rows]
        contested = np.flatnonzero(~is_accepted & (self.left[item_rows] > 0))
        order = contested[np.lexsort((-scores[contested], item_rows[contested]))]
        requested = item_rows[order]
        is_first = np.append(True, requested[1:] != requested[:-1])
        run = np.flatnonzero(is_first)[np.cumsum(is_first) - 1] if len(requested) else requested
        is_accepted[order] = np.arange(len(order)) - run < self.left[requested]
        self.left -= np.bincount(item_rows[is_accepted], minlength=len(self.left))
        return is_accepted


def capped(lists: TopK, n_list: int | Rows, room: Room, n_kept: int) -> TopK:
    """Return the lists of the accepted candidates, with unrequested candidates behind them.

    Args:
        lists: (n_users, k) candidates, best first; NO_ITEM is allowed at any place.
        n_list: Number of items of a list, or (n_users,) one for each; only these count.
        room: Room of each item, reduced by the lists that hold it.
        n_kept: Number of places to return.

    Returns:
        (n_users, n_kept) item rows and scores; the first n_list places are the list. It
        is shorter, with NO_ITEM behind it, where there are no more candidates.
    """
    rows = lists.item_rows
    n_held = np.zeros(len(rows), np.int64)
    is_left = rows != NO_ITEM
    for place in range(rows.shape[1]):
        users = np.flatnonzero((n_held < n_list) & is_left[:, place])
        if not len(users):
            continue
        is_accepted = room.take(rows[users, place].astype(np.int64), lists.scores[users, place])
        is_left[users[~is_accepted], place] = False
        n_held[users[is_accepted]] += 1
    return closed_up(lists, is_left, n_kept)


def closed_up(lists: TopK, is_left: Flags, n_kept: int) -> TopK:
    """Return the first n_kept remaining candidates of each list."""
    shape = (len(is_left), n_kept)
    found = TopK(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
    place = np.zeros(len(is_left), np.int64)  # next free place of each user
    for column in range(is_left.shape[1]):
        users = np.flatnonzero(is_left[:, column] & (place < n_kept))
        found.item_rows[users, place[users]] = lists.item_rows[users, column]
        found.scores[users, place[users]] = lists.scores[users, column]
        place[users] += 1
    return found
