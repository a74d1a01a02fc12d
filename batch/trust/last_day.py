"""The last day: who began to watch what, and how that compares with the weeks before.

    interactions of the last 24 h ─► edges (user, item, time)
    interactions of the same hours of earlier weeks ─► median and MAD of each item and hour

    burst of an item   Σ (today - median) / √ Σ max(1.4826 · MAD, √median, 1)²     over hours,
                       or the same of one hour alone, whichever is more

The median absolute deviation does not follow a week with an attack of its own; √median is the
deviation of a Poisson number, where the weeks before are too few or too equal.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batch.arrays import Doubles, Integers, Rows, Times
from batch.interactions.build import Interactions
from batch.unavailable import Unavailable

MIN_BURST: Final = 6.0
_MIN_VIEWERS: Final = 10  # of an item on the last day; fewer are no burst
_MIN_WEEKS, _MAX_WEEKS = 2, 8  # before the last day
_HOUR_SECONDS: Final = 3600
_WEEK_HOURS: Final = 168
_DAY_HOURS: Final = 24
_NORMAL_MAD: Final = 1.4826  # standard deviation of a normal distribution in units of its MAD
_CHUNK: Final = 1 << 22  # interactions looked at at a time
_NOBODY: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class DayGraph:
    """Interactions that began in the last 24 hours, (n,) each, by user.

    Attributes:
        user_rows: Row of each user.
        item_rows: Row of each item.
        at: Time of each first event, seconds since 1970.
        hours: Number of full hours before the end of the day, 0 to 23.
        median: (n_items, 24) median number of the same hour in the weeks before.
        deviation: (n_items, 24) deviation of that number.
    """

    user_rows: Rows
    item_rows: Rows
    at: Times
    hours: Rows
    median: Doubles
    deviation: Doubles

    def bursts(self, without: Rows = _NOBODY) -> Doubles:
        """Return (n_items,) burst of each item; 0 where too few began to watch it.

        Args:
            without: Rows of users whose interactions do not count.
        """
        is_counted = ~np.isin(self.user_rows, without)
        cells = self.item_rows[is_counted] * _DAY_HOURS + self.hours[is_counted]
        today = np.bincount(cells, minlength=self.median.size).reshape(self.median.shape)
        excess = today - self.median
        of_day = excess.sum(axis=1) / np.sqrt((self.deviation**2).sum(axis=1))
        bursts = np.maximum((excess / self.deviation).max(axis=1), of_day)
        return np.where(today.sum(axis=1) >= _MIN_VIEWERS, bursts, 0)

    def viewers_of(self, item_row: int) -> Rows:
        """Return the rows of the users who began to watch an item, ascending."""
        return np.asarray(self.user_rows[self.item_rows == item_row], np.int64)


def last_day_of(interactions: Interactions, until: int, begin: int) -> DayGraph | Unavailable:
    """Return the last day's interactions, with the usual numbers of its hours.

    Args:
        interactions: All interactions with their times.
        until: Time of the end of the events, seconds since 1970.
        begin: Time of their beginning.
    """
    at, indices = interactions.began_at, interactions.weights.indices
    n_weeks = min((until - begin) // (_WEEK_HOURS * _HOUR_SECONDS), _MAX_WEEKS)
    if at is None or n_weeks < _MIN_WEEKS:
        return Unavailable(f"the events span less than {_MIN_WEEKS} weeks and a day")
    today, hours = [], []
    counts = np.zeros(interactions.weights.shape[1] * n_weeks * _DAY_HOURS, np.int32)
    for first in range(0, len(at), _CHUNK):
        hours_ago = (until - at[first : first + _CHUNK]) // _HOUR_SECONDS
        near = np.flatnonzero((hours_ago >= 0) & (hours_ago < _WEEK_HOURS * (n_weeks + 1)))
        week, hour = np.divmod(hours_ago[near], _WEEK_HOURS)
        is_today, is_before = week == 0, week > 0
        is_today &= hour < _DAY_HOURS
        is_before &= hour < _DAY_HOURS
        today.append(first + near[is_today])
        hours.append(hour[is_today])
        cells = indices[first + near[is_before]] * np.int64(n_weeks) + week[is_before] - 1
        cells = cells * _DAY_HOURS + hour[is_before]
        counts += np.bincount(cells, minlength=len(counts)).astype(np.int32)
    positions = np.concatenate(today)
    users = np.searchsorted(interactions.weights.indptr, positions, side="right") - 1
    items = indices[positions].astype(np.int64)
    usual = _usual(counts.reshape(-1, n_weeks, _DAY_HOURS))
    return DayGraph(users.astype(np.int64), items, at[positions], np.concatenate(hours), *usual)


def _usual(before: Integers) -> tuple[Doubles, Doubles]:
    """Return (n_items, 24) medians and deviations of (n_items, n_weeks, 24) numbers."""
    median = np.median(before, axis=1)
    mad = np.median(np.abs(before - median[:, None]), axis=1)
    return median, np.maximum(np.maximum(_NORMAL_MAD * mad, np.sqrt(median)), 1)
