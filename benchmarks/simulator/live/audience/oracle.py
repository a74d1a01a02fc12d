"""The yardstick: how good a list truly is, beside the best one and the popular one of that user.

It knows the tastes, so nothing has to be estimated: the chance that the user
takes an item of each of the three lists is a number.
"""

from typing import Final, NamedTuple

import numpy as np

from benchmarks.simulator.live.audience.preferences import Wants
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import attraction, expected_clicks
from benchmarks.simulator.world.items import Floats, Rows
from benchmarks.simulator.world.truth import LIST_LENGTH

_CELLS: Final = 300_000  # pairs of a user and an item in a window: some milliseconds


class Measured(NamedTuple):
    """True values of some lists.

    Attributes:
        expected: (n,) chance that something is taken of the list that was shown.
        best: (n,) of the best possible one.
        popular: (n,) of the one that is the same for all, but for what the user has watched.
        ndcg: (n,) of the list shown; its gains are the chances to be the next view.
    """

    expected: Floats
    best: Floats
    popular: Floats
    ndcg: Floats


class Yardstick:
    """Measures lists by the users' true wants.

    Args:
        wants: What they want.
        seen: What they have watched.
        popularity: (n_items,) of all users together.
    """

    def __init__(self, wants: Wants, seen: Seen, popularity: Floats) -> None:
        self._wants = wants
        self._seen = seen
        self._popularity = popularity
        self.most = max(1, _CELLS // len(popularity))

    def measure(self, user_rows: Rows, lists: Rows) -> Measured:
        """Measure the list of each user; ask for at most `most` at a time, before they react.

        Args:
            user_rows: (n,)
            lists: (n, k) item rows, best first; -1 for none.
        """
        seen = self._seen.matrix(user_rows)
        chances = np.where(seen, 0, self._wants.all_chances(user_rows))
        shown = _of(lists, chances)
        best = _of(_largest(chances), chances)
        popular = _of(_largest(np.where(seen, -1, self._popularity)), chances)
        gains = (shown @ _discount(shown.shape[1])) / (best @ _discount(best.shape[1]))
        return Measured(_clicks(shown), _clicks(best), _clicks(popular), np.asarray(gains))


def _of(lists: Rows, chances: Floats) -> Floats:
    found = np.take_along_axis(chances, np.maximum(lists, 0), axis=1)
    return np.asarray(np.where(lists >= 0, found, 0))


def _clicks(chances: Floats) -> Floats:
    return expected_clicks(attraction(chances, np.zeros(chances.shape, bool)))


def _largest(scores: Floats) -> Rows:
    """Return (n, k) columns of the largest scores of each row, largest first."""
    k = min(LIST_LENGTH, scores.shape[1])
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


def _discount(length: int) -> Floats:
    return np.asarray(1 / np.log2(2 + np.arange(length)))
