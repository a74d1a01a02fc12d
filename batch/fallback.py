"""Lists for users without one of their own: the popular list, and one for each segment.

Popular is what most users have had to do with, equal counts by weight and then
by item row. A segment (`25-34/F`, `25-34`, `F`) is ranked by its own users, and
filled from the popular list where they have seen too little.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.interactions import Interactions
from batch.records.profiles import Profile, segments

_MIN_SEGMENT_USERS: Final = 20  # fewer say more about themselves than about a segment


def popular_items(
    interactions: Interactions, n: int, hidden: Collection[int] = frozenset()
) -> list[int]:
    """Return the n item rows that most users have, best first, none of them hidden."""
    return [int(row) for row in _ranked(interactions) if row not in hidden][:n]


def segment_items(
    interactions: Interactions,
    profiles: Mapping[str, Profile],
    n: int,
    hidden: Collection[int] = frozenset(),
) -> dict[str, list[int]]:
    """Return n item rows for each segment of at least 20 users, best first, none hidden."""
    members: dict[str, list[int]] = defaultdict(list)
    for user_row, user_id in enumerate(interactions.user_ids.to_pylist()):
        if profile := profiles.get(user_id):
            for segment in segments(profile):
                members[segment].append(user_row)
    popular = popular_items(interactions, n, hidden)
    lists = {}
    for segment, user_rows in sorted(members.items()):
        if len(user_rows) >= _MIN_SEGMENT_USERS:
            own = [int(row) for row in _ranked(interactions, user_rows) if row not in hidden]
            lists[segment] = list(dict.fromkeys(own[:n] + popular))[:n]
    return lists


def _ranked(
    interactions: Interactions, user_rows: Sequence[int] | None = None
) -> npt.NDArray[np.int64]:
    """Return the item rows that these users have (None: all), most users first."""
    weights = interactions.weights if user_rows is None else interactions.weights[user_rows]
    n_items = weights.shape[1]
    n_users = np.bincount(weights.indices, minlength=n_items)
    weight = np.bincount(weights.indices, weights=weights.data, minlength=n_items)
    order = np.lexsort((np.arange(n_items), -weight, -n_users))
    return order[: np.count_nonzero(n_users)]
