"""The cap: no item in more than a share of all lists, against the feedback loop.

    place 1     every user asks for their best candidate; an item that more users ask
                for than it has room takes those with the best scores
    place 2     whoever's list is not full asks for the next one
    …           until the lists are full, or the candidates at an end

So an item stays where it ranks highest, and those to whom it matters least lose it;
their further candidates move up. This is deferred acceptance, of which the outcome
does not hang on who asks first: an item prefers an earlier place, then a better score,
then a lower user row, and since nobody asks for a place before all earlier ones are
settled, what is accepted need never be taken back. Nobody could have an item above
their own without somebody who ranks it higher losing it.

Source:
    Gale and Shapley, "College Admissions and the Stability of Marriage", American
    Mathematical Monthly 1962.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from batch.arrays import Rows
from batch.topk import NO_ITEM, TopK


class Room:
    """How many more lists may hold each item.

    Attributes:
        limit: Lists that may hold an item.
        left: (n_items,).
    """

    def __init__(self, n_items: int, n_lists: int, share: float) -> None:
        """Give every item the same: the share of the lists, rounded down, and at least one."""
        self.limit = max(int(share * n_lists + _ROUNDING), 1)
        self.left = np.full(n_items, self.limit, np.int64)

    def take(self, item_rows: Rows, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return (n_asking,) who gets the item asked for; its room is the less for it.

        Args:
            item_rows: (n_asking,) one item each, in the order of users.
            scores: (n_asking,).
        """
        n_asking = np.bincount(item_rows, minlength=len(self.left))
        gets = (n_asking <= self.left)[item_rows]
        contested = np.flatnonzero(~gets & (self.left[item_rows] > 0))
        order = contested[np.lexsort((-scores[contested], item_rows[contested]))]
        asked = item_rows[order]
        is_first = np.append(True, asked[1:] != asked[:-1])
        run = np.flatnonzero(is_first)[np.cumsum(is_first) - 1] if len(asked) else asked
        gets[order] = np.arange(len(order)) - run < self.left[asked]
        self.left -= np.bincount(item_rows[gets], minlength=len(self.left))
        return gets


_ROUNDING: Final = 1e-9  # 0.29 · 100 is 28.999999999999996


def capped(lists: TopK, n_list: int | Rows, room: Room, n_kept: int) -> TopK:
    """Return the lists of those candidates that had room, what was not asked for behind them.

    Args:
        lists: (n_users, k), best first; NO_ITEM may stand anywhere.
        n_list: Items of a list, or (n_users,) of each; only these count.
        room: For each item; what the lists hold is taken from it.
        n_kept: Places returned.

    Returns:
        (n_users, n_kept); the first n_list places are the list, which is shorter, with
        NO_ITEM behind it, where the candidates came to an end.
    """
    rows = lists.item_rows
    n_held = np.zeros(len(rows), np.int64)
    is_left = rows != NO_ITEM
    for place in range(rows.shape[1]):
        users = np.flatnonzero((n_held < n_list) & is_left[:, place])
        if not len(users):
            continue
        gets = room.take(rows[users, place].astype(np.int64), lists.scores[users, place])
        is_left[users[~gets], place] = False
        n_held[users[gets]] += 1
    return _closed_up(lists, is_left, n_kept)


def _closed_up(lists: TopK, is_left: npt.NDArray[np.bool_], n_kept: int) -> TopK:
    """Return the first n_kept of what is left of each list."""
    shape = (len(is_left), n_kept)
    found = TopK(np.full(shape, NO_ITEM, np.int32), np.full(shape, -np.inf, np.float32))
    place = np.zeros(len(is_left), np.int64)  # of each user's next
    for column in range(is_left.shape[1]):
        users = np.flatnonzero(is_left[:, column] & (place < n_kept))
        found.item_rows[users, place[users]] = lists.item_rows[users, column]
        found.scores[users, place[users]] = lists.scores[users, column]
        place[users] += 1
    return found
