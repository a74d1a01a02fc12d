"""What users have watched, and so are never shown, nor choose, again."""

from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.parallel import in_order
from benchmarks.simulator.world.items import Rows
from benchmarks.simulator.world.views import ViewSource

_MOST_RECENT: Final = 50_000


class Seen:
    """What each user has watched, in the history and since.

    Args:
        n_items: Of the world.
        keys: user_row · n_items + item_row of each view, in any order.
    """

    def __init__(self, n_items: int, keys: Rows) -> None:
        self._n_items = n_items
        self._keys = np.unique(keys)
        self._recent = np.empty(0, np.int64)

    @classmethod
    def of_history(cls, source: ViewSource, n_items: int) -> "Seen":
        """Draw the history's views once more: the same world has the same."""
        drawn = in_order(source.draw, source.blocks())
        keys = [views["user_row"].astype(np.int64) * n_items + views["item_row"] for views in drawn]
        return cls(n_items, np.concatenate(keys))

    def has(self, user_rows: Rows, item_rows: Rows) -> npt.NDArray[np.bool_]:
        """Tell of each pair, shapes broadcast, whether the user has watched the item."""
        keys = np.asarray(user_rows, np.int64) * self._n_items + item_rows
        return _is_in(keys, self._keys) | _is_in(keys, self._recent)

    def add(self, user_rows: Rows, item_rows: Rows) -> None:
        """Note views."""
        keys = np.asarray(user_rows, np.int64) * self._n_items + item_rows
        self._recent = _merged(self._recent, keys)
        if len(self._recent) > _MOST_RECENT:
            self._keys = _merged(self._keys, self._recent)
            self._recent = self._recent[:0]

    def matrix(self, user_rows: Rows) -> npt.NDArray[np.bool_]:
        """Return (n, n_items), what each of some users has watched."""
        seen = np.zeros((len(user_rows), self._n_items), bool)
        first = np.asarray(user_rows, np.int64) * self._n_items
        for keys in (self._keys, self._recent):
            begin, end = np.searchsorted(keys, (first, first + self._n_items))
            row = np.repeat(np.arange(len(first)), end - begin)
            place = np.arange(len(row)) - np.repeat(np.cumsum(end - begin) - end, end - begin)
            seen[row, keys[place] - first[row]] = True
        return seen


def _merged(keys: Rows, new: Rows) -> Rows:
    """Return both in order: by copying, for sorting millions again would take seconds."""
    new = np.sort(new)
    return np.asarray(np.insert(keys, np.searchsorted(keys, new), new))


def _is_in(keys: Rows, among: Rows) -> npt.NDArray[np.bool_]:
    if not len(among):
        return np.zeros(keys.shape, bool)
    place = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.asarray(among[place] == keys)
