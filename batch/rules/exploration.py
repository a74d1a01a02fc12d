"""Exploration: a few places for what would not be shown, so that it can be learned of.

    before   1 2 3 … 17 18 19 20 │ 21 … 30 │ 31 … 100
    after    1 2 3 … 17  a  b  c │ 18 19 20 … 27 │ …       a, b, c drawn from 31 … 100

The last places of the list are filled from candidates behind everything that would
have been kept, each drawn by 1 / (1 + its users): the less an item is known, the
more there is to learn. What they displace comes first among the spares.
"""

import numpy as np
import numpy.typing as npt

from batch.rules.lists import places, reordered
from batch.topk import NO_ITEM, TopK


def explored(
    lists: TopK,
    n: int,
    *,
    n_list: int,
    n_kept: int,
    n_users_of: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> TopK:
    """Return the lists with n drawn candidates in the last of the first n_list places.

    A user with fewer candidates behind the kept ones gets so many fewer.

    Args:
        lists: (n_users, k), best first.
        n: Places, at most n_list.
        n_list: Items of a list.
        n_kept: Items kept, spares included.
        n_users_of: (n_items,) users that have each.
        random: What it is drawn with: the same one draws the same.

    Source:
        Efraimidis and Spirakis, "Weighted random sampling with a reservoir", IPL 2006:
        the n least of exponential variables, each over its weight.
    """
    pool = lists.item_rows[:, n_kept:]
    times = random.standard_exponential(pool.shape) * (1 + n_users_of[pool])
    times[pool == NO_ITEM] = np.inf
    drawn = n_kept + np.argsort(times, axis=1, kind="stable")[:, :n]
    is_drawn = np.zeros(lists.item_rows.shape, np.bool_)
    np.put_along_axis(is_drawn, drawn, values=True, axis=1)
    is_drawn &= lists.item_rows != NO_ITEM
    n_drawn = is_drawn.sum(axis=1, keepdims=True)
    key = np.where(is_drawn, n_list - n_drawn - 0.5, places(lists))
    return reordered(lists, np.argsort(key, axis=1, kind="stable"))
