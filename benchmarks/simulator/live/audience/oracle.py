"""The oracle: the true value of a list, beside the best list and the popular list of that user.

It has access to the tastes, so nothing is estimated: the probability that the
user takes an item is computed for each of the three lists.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Rows
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import attraction, expected_clicks
from benchmarks.simulator.world.truth import LIST_LENGTH

_MAX_PAIRS: Final = 300_000  # pairs of a user and an item in a window: some milliseconds


class ListValues(NamedTuple):
    """True values of some lists.

    Attributes:
        expected: (n,) probability that an item of the list shown is taken.
        best: (n,) the same probability for the best possible list.
        popular: (n,) the same probability for the popular list without watched items.
        ndcg: (n,) NDCG of the list shown; gains are the probabilities of the next view.
    """

    expected: Doubles
    best: Doubles
    popular: Doubles
    ndcg: Doubles


class Oracle:
    """Measures lists by the users' true preferences.

    Args:
        preferences: True preferences of the users.
        seen: Items that users have watched.
        popularity: (n_items,) popularity among all users.

    Attributes:
        max_lists: Number of lists to measure at a time.
    """

    def __init__(self, preferences: Preferences, seen: Seen, popularity: Doubles) -> None:
        self._preferences = preferences
        self._seen = seen
        self._popularity = popularity
        self.max_lists = max(1, _MAX_PAIRS // len(popularity))

    def measure(self, user_rows: Rows, lists: Rows) -> ListValues:
        """Measure the lists of at most `max_lists` users, before they react.

        Args:
            user_rows: (n,) rows of users.
            lists: (n, k) item rows, best first; -1 for no item.
        """
        seen = self._seen.matrix(user_rows)
        chances = np.where(seen, 0, self._preferences.all_chances(user_rows))
        shown = _chances_of(lists, chances)
        best = _chances_of(_largest(chances), chances)
        popular = _chances_of(_largest(np.where(seen, -1, self._popularity)), chances)
        gains = (shown @ _discount(shown.shape[1])) / (best @ _discount(best.shape[1]))
        return ListValues(_clicks(shown), _clicks(best), _clicks(popular), np.asarray(gains))


def _chances_of(lists: Rows, chances: Doubles) -> Doubles:
    found = np.take_along_axis(chances, np.maximum(lists, 0), axis=1)
    return np.asarray(np.where(lists >= 0, found, 0))


def _clicks(chances: Doubles) -> Doubles:
    return expected_clicks(attraction(chances, np.zeros(chances.shape, bool)))


def _largest(scores: Doubles) -> Rows:
    """Return (n, k) columns of the largest scores of each row, largest first."""
    k = min(LIST_LENGTH, scores.shape[1])
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


def _discount(length: int) -> Doubles:
    return np.asarray(1 / np.log2(2 + np.arange(length)))
