"""Views of each user and item: the furthest minute counts, or the largest share of the item."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from batch.arrays import Floats, Integers, Times
from batch.events.parsed import watched_part
from batch.interactions.columns import Columns
from batch.interactions.pairs import GroupedEvents
from batch.interactions.weights import MIN_WEIGHT


class FurthestViews(NamedTuple):
    """Views, one row for each pair that has one, (n,) each.

    Attributes:
        pair_row: Rows in `UserItemPairs`, ascending.
        share: Share of the item that was watched, NaN where no minute is known.
        first_at: Time of the first view, in seconds since 1970; below 1, or `NEVER`, if unknown.
        last_at: Time of the latest view, below 1 if unknown; None if not needed.
        n_events: Number of lines that the row stands for.
    """

    pair_row: Integers
    share: Floats
    first_at: Times
    last_at: Times | None
    n_events: Integers


def furthest_views(
    columns: Columns, rows: Integers, grouped: GroupedEvents, runtime: Floats
) -> FurthestViews:
    """Return the furthest view of each pair.

    Args:
        columns: Events of all users.
        rows: (n_views,) rows of the views of some users.
        grouped: Events of these users, grouped by pair; their views come first.
        runtime: (n_items,) minutes.
    """
    pair_row, view = grouped.before(len(rows))
    is_first = np.ones(len(pair_row), dtype=bool)
    is_first[1:] = pair_row[1:] != pair_row[:-1]
    first = np.flatnonzero(is_first)

    def of_each(column: npt.NDArray[Any], reduce: np.ufunc) -> npt.NDArray[Any]:
        values = column[rows][view]
        return values if len(first) == len(values) else reduce.reduceat(values, first)

    pair_row = pair_row[first]
    minute = of_each(columns.minute, np.fmax)
    watched = (minute + 1) / runtime[grouped.pairs.indices[pair_row]]
    if len(minute) and np.nanmin(minute, initial=0) < 0:
        watched = np.where(minute < 0, watched_part(minute), watched)
    return FurthestViews(
        pair_row,
        np.clip(watched, MIN_WEIGHT, 1),
        of_each(columns.first_at, np.minimum),
        None if columns.last_at is None else of_each(columns.last_at, np.maximum),
        of_each(columns.n_events, np.add),
    )
