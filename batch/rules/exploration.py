"""Exploration: a few places for items that would not be shown, to learn about them.

    before   1 2 3 … 17 18 19 20 │ 21 … 30 │ 31 … 100
    after    1 2 3 … 17  a  b  c │ 18 19 20 … 27 │ …       a, b, c drawn from 31 … 100

The last places of the list are filled from candidates behind all kept ones, drawn with
weight 1 / (1 + number of users): there is more to learn about an item with fewer users.
The items they replace come first among the spares.
"""

import numpy as np

from batch.arrays import Rows
from batch.rules.lists import places, reordered
from batch.topk import NO_ITEM, TopK


def explored(
    lists: TopK,
    n: int,
    *,
    n_list: int,
    n_kept: int,
    n_users_of: Rows,
    random: np.random.Generator,
) -> TopK:
    """Return the lists with n drawn candidates in the last of the first n_list places.

    A user with fewer candidates behind the kept ones gets fewer drawn ones.

    Args:
        lists: (n_users, k) candidates, best first.
        n: Number of places to fill, at most n_list.
        n_list: Number of items of a list.
        n_kept: Number of items kept, spares included.
        n_users_of: (n_items,) number of users of each item.
        random: Random generator of the draw.

    Source:
        Efraimidis and Spirakis, "Weighted random sampling with a reservoir", IPL 2006:
        the n smallest of exponential variables, each divided by its weight.
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
