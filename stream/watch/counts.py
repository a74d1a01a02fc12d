"""Counting the events of all days that are compared: by hour, and by day, user group and bin."""

import heapq
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Integers
from batch.events.event_types import EventType
from batch.events.ids import codes_of, whole
from stream.user_hashes import N_GROUPS, user_groups
from stream.watch.fields import Field
from stream.watch.periods import HOUR_SECONDS, WatchPeriods, read_periods

N_TOP_ITEMS: Final = 50


class EventCounts:
    """Counts of one type of event.

    Args:
        periods: Days that are compared.

    Attributes:
        by_hour: (24 (n_reference + 1),) events of each hour.
    """

    def __init__(self, periods: WatchPeriods) -> None:
        self._periods = periods
        self._n_days = periods.n_reference + 1
        self.by_hour = np.zeros(24 * self._n_days, np.int64)
        self._of_field: dict[str, Integers] = {}

    def of_field(self, name: str) -> Integers:
        """Return (n_days, N_GROUPS, n_bins) events by day, group of users and bin."""
        return self._of_field.get(name, np.zeros((self._n_days, N_GROUPS, 1), np.int64))

    def add(self, kind: EventType, fields: list[Field], events: pa.Table) -> None:
        """Count some events; those outside of the days are left out."""
        at = pc.fill_null(events[kind.day_column], -1).to_numpy()
        day = self._periods.of(at)
        is_in = day >= 0
        hours = (at[is_in] - self._periods.first_at) // HOUR_SECONDS
        self.by_hour += np.bincount(hours, minlength=len(self.by_hour))
        place = day * N_GROUPS + user_groups(events["user_id"])
        for field in fields:
            bins = field(events)
            self._add(field, place[is_in & (bins >= 0)], bins[is_in & (bins >= 0)])

    def _add(self, field: Field, place: Integers, bins: Integers) -> None:
        n_places, n_bins = self._n_days * N_GROUPS, max(len(field.labels), 1)
        found = np.bincount(place * n_bins + bins, minlength=n_places * n_bins)
        counts = found.reshape(self._n_days, N_GROUPS, n_bins)
        before = self.of_field(field.name)
        counts[:, :, : before.shape[2]] += before
        self._of_field[field.name] = counts


def top_items(events: Path, views: EventType, periods: WatchPeriods) -> list[str]:
    """Return the most viewed items of the first day with events, which have a bin each."""
    first = next(read_periods(events, views, periods), None)
    if first is None:
        return []
    ids = whole(first["item_id"])
    n_views = np.bincount(codes_of(ids), minlength=len(ids.dictionary))
    counts = Counter(dict(zip(ids.dictionary.to_pylist(), n_views.tolist(), strict=True)))
    return heapq.nlargest(N_TOP_ITEMS, counts, key=lambda name: (counts[name], name))
