"""Items that users have watched: they are not shown or chosen again."""

from typing import Final

import numpy as np

from batch.arrays import Flags, Rows
from benchmarks.simulator.parallel import in_order
from benchmarks.simulator.world.views import ViewSource

_MAX_RECENT: Final = 50_000


class Seen:
    """Items that each user has watched, in the history and since.

    Args:
        n_items: Number of items of the world.
        keys: user_row · n_items + item_row of each view, in any order.
        max_recent: Number of recent views that are kept apart before they are merged.
    """

    def __init__(self, n_items: int, keys: Rows, max_recent: int = _MAX_RECENT) -> None:
        self._n_items = n_items
        self._max_recent = max_recent
        self._keys = np.unique(keys)
        self._recent = np.empty(0, np.int64)

    @classmethod
    def of_history(cls, source: ViewSource, n_items: int) -> "Seen":
        """Draw the views of the history again; the same world has the same views."""
        drawn = in_order(source.draw, source.blocks())
        keys = [views["user_row"].astype(np.int64) * n_items + views["item_row"] for views in drawn]
        return cls(n_items, np.concatenate(keys))

    def has(self, user_rows: Rows, item_rows: Rows) -> Flags:
        """Return for each pair, shapes broadcast, whether the user has watched the item."""
        keys = np.asarray(user_rows, np.int64) * self._n_items + item_rows
        return _is_in(keys, self._keys) | _is_in(keys, self._recent)

    def add(self, user_rows: Rows, item_rows: Rows) -> None:
        """Add views."""
        keys = np.asarray(user_rows, np.int64) * self._n_items + item_rows
        self._recent = _merged(self._recent, keys)
        if len(self._recent) > self._max_recent:
            self._keys = _merged(self._keys, self._recent)
            self._recent = self._recent[:0]

    def matrix(self, user_rows: Rows) -> Flags:
        """Return (n, n_items) True where the user has watched the item."""
        seen = np.zeros((len(user_rows), self._n_items), bool)
        first = np.asarray(user_rows, np.int64) * self._n_items
        for keys in (self._keys, self._recent):
            begin, end = np.searchsorted(keys, (first, first + self._n_items))
            row = np.repeat(np.arange(len(first)), end - begin)
            place = np.arange(len(row)) - np.repeat(np.cumsum(end - begin) - end, end - begin)
            seen[row, keys[place] - first[row]] = True
        return seen


def _merged(keys: Rows, new: Rows) -> Rows:
    """Return both in order by insertion: sorting millions of keys again would take seconds."""
    new = np.sort(new)
    return np.asarray(np.insert(keys, np.searchsorted(keys, new), new))


def _is_in(keys: Rows, among: Rows) -> Flags:
    if not len(among):
        return np.zeros(keys.shape, bool)
    place = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.asarray(among[place] == keys)
