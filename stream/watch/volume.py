"""The number of events in an hour, against the same hour of the week.

A robust z score: (events - median) / deviation, where the deviation is 1.4826 times the
median absolute deviation of the same hours before, and at least that of a Poisson count.
With less than three such hours, the same hour of all days before stands in.

Source:
    Rousseeuw and Croux, "Alternatives to the median absolute deviation", 1993.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Integers

_DAY_HOURS: Final = 24
_WEEK_HOURS: Final = 7 * _DAY_HOURS
_MIN_HOURS: Final = 3
_TO_DEVIATION: Final = 1.4826  # of a normal distribution


class HourVolume(NamedTuple):
    """The most unusual hour of the last 24.

    Attributes:
        hour: Hours since the begin of the last 24 hours.
        n_events: Number of events in it.
        usual: Median of the same hours before.
        z: Robust standard deviations between them.
    """

    hour: int
    n_events: int
    usual: float
    z: float


def unusual_hour(n_events: Integers) -> HourVolume | None:
    """Return the most unusual of the last 24 hours; None without three earlier days.

    Args:
        n_events: (n_hours,) events of each hour, a multiple of 24, the last 24 at the end.
            Hours before the first event do not count.
    """
    began = int(np.flatnonzero(n_events)[0]) if n_events.any() else len(n_events)
    first = len(n_events) - _DAY_HOURS
    found = [
        HourVolume(hour, int(n_events[first + hour]), usual, z)
        for hour in range(_DAY_HOURS)
        if (same := _same_hours(n_events, began, first + hour)) is not None
        for usual, z in (_z(int(n_events[first + hour]), same),)
    ]
    return max(found, key=lambda volume: abs(volume.z), default=None)


def _same_hours(n_events: Integers, began: int, hour: int) -> Integers | None:
    """Return the same hours of the week, or of the day, before an hour."""
    for step in (_WEEK_HOURS, _DAY_HOURS):
        same = n_events[hour % step : hour : step]
        same = same[np.arange(hour % step, hour, step) >= began]
        if len(same) >= _MIN_HOURS:
            return same
    return None


def _z(n_events: int, same: Integers) -> tuple[float, float]:
    usual = float(np.median(same))
    deviations: Doubles = np.abs(same - usual)
    spread = max(_TO_DEVIATION * float(np.median(deviations)), np.sqrt(max(usual, 1.0)))
    return usual, float((n_events - usual) / spread)
