"""The last 24 hours, and the days before them that they are compared with.

    first_at                                  begin_at          end_at
       │ day 0 │ day 1 │ …            │ day 27 │  last 24 hours  │
       └──────────── reference ───────────────┘

Times are seconds since 1970 by the wall clock of the log, as in the day partitions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Integers, Rows
from batch.events.day_files import DayFile, grouped_by_day, merged_rows, n_rows_of
from batch.events.event_types import EVENT_TYPES, EventType
from batch.events.fold import DAY_SECONDS

HOUR_SECONDS: Final = 3600
_MIN_SHARE: Final = 0.01  # of the views of the fullest day, or hour
_MAX_GAP_DAYS: Final = 7  # without views, between days of one log
_VIEWS: Final = next(kind for kind in EVENT_TYPES if kind.name == "views")


class WatchPeriods(NamedTuple):
    """The days that are compared.

    Attributes:
        end_at: End of the last 24 hours, a whole hour.
        n_reference: Number of days before them.
    """

    end_at: int
    n_reference: int

    @property
    def begin_at(self) -> int:
        """Begin of the last 24 hours."""
        return self.end_at - DAY_SECONDS

    @property
    def first_at(self) -> int:
        """Begin of the first day."""
        return self.begin_at - self.n_reference * DAY_SECONDS

    def of(self, at: Rows) -> Rows:
        """Return (n,) day of each time: 0 to `n_reference`, the last 24 hours; -1 outside."""
        day = (at - self.first_at) // DAY_SECONDS
        return np.where((day < 0) | (day > self.n_reference), -1, day)


def last_hour(events: Path) -> int | None:
    """Return the end of the last whole hour of views, None without any.

    Broken times of the log do not count: days far from the others, and days and hours with
    less than a hundredth of the views of the fullest one.
    """
    days = _days(events, _VIEWS)
    n_rows = np.array([sum(n_rows_of(file) for file in files) for files in days])
    if not n_rows.any():
        return None
    dates = np.array([files[0].parent.name.removeprefix("date=") for files in days], "M8[D]")
    last = days[_last_usual(dates.astype(np.int64), n_rows, _MAX_GAP_DAYS)]
    at = np.concatenate([_times(table) for table in merged_rows(_VIEWS, last)])
    hours, n_views = np.unique(at // HOUR_SECONDS, return_counts=True)
    return int(hours[_last_usual(hours, n_views, 24)]) * HOUR_SECONDS


def _last_usual(numbers: Rows, counts: Integers, max_gap: int) -> int:
    """Return the position of the last day, or hour, that is not broken times."""
    is_usual = np.flatnonzero(counts >= counts.max() * _MIN_SHARE)
    gap = np.diff(numbers[is_usual])
    later = is_usual[1:][(gap > max_gap) & (is_usual[1:] > counts.argmax())]
    return int(is_usual[is_usual < later[0]][-1] if len(later) else is_usual[-1])


def _times(views: pa.Table) -> Rows:
    return np.asarray(views[_VIEWS.day_column].drop_null().to_numpy())


def read_periods(events: Path, kind: EventType, periods: WatchPeriods) -> Iterator[pa.Table]:
    """Yield the folded rows of all days that are compared, in the order of the days.

    Raises:
        InputError: A file is damaged.
    """
    first, last = (
        str(np.datetime64(at // DAY_SECONDS, "D")) for at in (periods.first_at, periods.end_at - 1)
    )
    for files in _days(events, kind):
        file = DayFile.of(files[0])
        if file is not None and first <= file.day <= last:
            yield from merged_rows(kind, files)


def _days(events: Path, kind: EventType) -> list[list[Path]]:
    """Return the files of each day, oldest first."""
    return list(grouped_by_day(sorted((events / kind.name).glob(f"date=*/{kind.name}-*.parquet"))))
