"""The simulated clock: the history's first day, and how views spread over the hours of a day."""

from typing import Final

import numpy as np
import numpy.typing as npt

from batch.arrays import Doubles
from benchmarks.simulator.world.fitted import HOUR_HARMONICS

FIRST_DAY: Final = np.datetime64("2026-01-01T00:00:00", "s")
DAY_SECONDS: Final = 86_400

_MINUTES: Final = np.arange(1441) / 1440


def _cumulated() -> Doubles:
    """Integrate 1 + Σ amplitude · cos(2π n (hour - peak) / 24) from midnight on."""
    total = _MINUTES.copy()
    for n, amplitude, peak in HOUR_HARMONICS:
        turn = 2 * np.pi * n
        begin = np.sin(-turn * peak / 24)
        total += amplitude * (np.sin(turn * (_MINUTES - peak / 24)) - begin) / turn
    return total


_CUMULATED: Final = _cumulated()


def seconds_of_day(uniform: Doubles) -> npt.NDArray[np.int32]:
    """Turn uniform random numbers in [0, 1) into seconds after midnight."""
    return (np.interp(uniform, _CUMULATED, _MINUTES) * DAY_SECONDS).astype(np.int32)


def date_of(day: int) -> str:
    """Return the date of a day of the history, as `2026-01-01`."""
    return str(np.datetime_as_string(FIRST_DAY + np.int64(day) * DAY_SECONDS, "D"))
