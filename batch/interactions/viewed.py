"""Views of each user and item: the furthest minute is the one that counts."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from batch.arrays import Floats, Integers, Times
from batch.interactions.columns import Columns
from batch.interactions.pairs import Ordered
from batch.interactions.weights import LEAST


class Viewed(NamedTuple):
    """Views that have been brought together, (n,) each.

    Attributes:
        place: Ascending, where in the meetings.
        share: Of the item that was watched.
        first_at: In seconds since 1970; below 1, or never, if unknown.
        last_at: Below 1 if unknown; None if nobody asks.
        n_events: Lines that it was made of.
    """

    place: Integers
    share: Floats
    first_at: Times
    last_at: Times | None
    n_events: Integers


def furthest_views(columns: Columns, rows: Integers, ordered: Ordered, runtime: Floats) -> Viewed:
    """Return what was watched of each item.

    Args:
        columns: Of all users.
        rows: (n_views,) of some users.
        ordered: These views, the first of their events, brought together.
        runtime: (n_items,) minutes.
    """
    place, view = ordered.before(len(rows))
    is_first = np.ones(len(place), dtype=bool)
    is_first[1:] = place[1:] != place[:-1]
    first = np.flatnonzero(is_first)

    def of_each(column: npt.NDArray[Any], reduce: np.ufunc) -> npt.NDArray[Any]:
        values = column[rows][view]
        return values if len(first) == len(values) else reduce.reduceat(values, first)

    place = place[first]
    minute = of_each(columns.minute, np.fmax)
    watched = (minute + 1) / runtime[ordered.meetings.indices[place]]
    return Viewed(
        place,
        np.clip(np.nan_to_num(watched, nan=1), LEAST, 1),
        of_each(columns.first_at, np.minimum),
        None if columns.last_at is None else of_each(columns.last_at, np.maximum),
        of_each(columns.n_events, np.add),
    )
