"""One look at the stream and the lists: every figure, and which of them is an alarm.

day partitions ─► counts by hour, and by day, user group and bin ─► volume, drift, unknown ids
answers, views ─► counts of items by generation ─► concentration, calibration
ledger ─► broken lines
hours of the online figures ─► quality by group of users
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from batch.arrays import Integers
from batch.events.event_types import EVENT_TYPES, EventType
from stream.online.served_lists import ServedLists
from stream.watch.calibration import calibration, genre_shares
from stream.watch.counts import EventCounts, top_items
from stream.watch.divergence import drift, share_of
from stream.watch.fields import Field, fields_of
from stream.watch.figures import Figure
from stream.watch.groups import GroupHours, group_quality
from stream.watch.known import NO_LIST, UNKNOWN, KnownIds
from stream.watch.periods import WatchPeriods, read_periods
from stream.watch.rejected import rejected_lines
from stream.watch.settings import WatchSettings
from stream.watch.shown import ItemCounts, concentration
from stream.watch.volume import unusual_hour

_TYPES: Final = {kind.name: kind for kind in EVENT_TYPES}
_CONCENTRATION: Final = (  # name of a figure, and what it says
    ("coverage", "share of the catalogue"),
    ("gini", "0 all alike, 1 one item only"),
    ("top_share", "share in the most watched tenth of the catalogue"),
    ("mean_rank", "mean rank of popularity, 1 the most watched item"),
    ("correlation", "with the number of views"),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """What is looked at.

    Attributes:
        events: Directory of the day partitions.
        quarantine: Directory of rejected lines.
        known: Labels of users and items by the served snapshot.
        item_ids: Items of the catalogue.
        served: Lists of the generations, by which that of an answer is found.
        groups: Hours that the quality of groups is read from.
    """

    events: Path
    quarantine: Path
    known: KnownIds
    item_ids: list[str]
    served: ServedLists
    groups: GroupHours


def look(sources: Sources, settings: WatchSettings, end_at: int) -> list[Figure]:
    """Return every figure of the 24 hours before `end_at`, seconds since 1970, a whole hour.

    Raises:
        InputError: A day partition is damaged.
        LedgerError: The ledger of the collector is damaged.
        StreamError: An hour of the online figures is damaged.
    """
    periods = WatchPeriods(end_at, settings.reference_days)
    fields = fields_of(sources.known, top_items(sources.events, _TYPES["views"], periods))
    items = ItemCounts(sources.item_ids, sources.served)
    counts = {
        kind.name: _count(sources.events, kind, fields[kind.name], periods, items)
        for kind in EVENT_TYPES
    }
    genres = genre_shares([sources.known.genres(name) for name in sources.item_ids])
    return [
        *_rejected(sources, settings),
        *_volumes(counts, settings),
        *_unknown(counts, fields, settings),
        *_drifts(counts, fields, settings),
        *_concentrations(items, settings),
        *_calibrations(items, genres),
        *group_quality(sources.groups, settings, end_at),
    ]


def _count(
    events: Path, kind: EventType, fields: list[Field], periods: WatchPeriods, items: ItemCounts
) -> EventCounts:
    counts = EventCounts(periods)
    for table in read_periods(events, kind, periods):
        counts.add(kind, fields, table)
        if kind.name == "views":
            items.add_views(table)
        if kind.name == "answers":
            at = table["at"].to_numpy()
            is_last = (at >= periods.begin_at) & (at < periods.end_at)
            items.add_answers(table.filter(pa.array(is_last)))
    return counts


def _rejected(sources: Sources, settings: WatchSettings) -> Iterator[Figure]:
    found = rejected_lines(sources.events, sources.quarantine)
    if found is None or not found.n_lines:
        return
    share = found.n_rejected / found.n_lines
    most = ", ".join(f"{reason} {n:,}" for reason, n in found.reasons.most_common(3))
    note = f"{found.n_rejected:,} of {found.n_lines:,} lines{': ' if most else ''}{most}"
    limit = settings.max_rejected_share
    yield Figure("rejected", "lines", share, limit=limit, is_alarm=share > limit, note=note)


def _volumes(counts: Mapping[str, EventCounts], settings: WatchSettings) -> Iterator[Figure]:
    limit = settings.max_deviations
    for name, of_kind in counts.items():
        found = unusual_hour(of_kind.by_hour)
        if found is None:
            continue
        ago = 24 - found.hour
        note = f"{found.n_events:,} in the hour {ago} h ago, usual {found.usual:,.0f}"
        is_alarm = abs(found.z) > limit
        yield Figure("volume", name, found.z, limit=limit, is_alarm=is_alarm, note=note)


def _unknown(
    counts: Mapping[str, EventCounts],
    fields: Mapping[str, list[Field]],
    settings: WatchSettings,
) -> Iterator[Figure]:
    for kind, name, label, limit in (
        ("views", "known item", UNKNOWN, settings.max_unknown_share),
        ("views", "list of the user", NO_LIST, None),
        ("answers", "list of the user", NO_LIST, None),
    ):
        labels = next(field.labels for field in fields[kind] if field.name == name)
        last = counts[kind].of_field(name)[-1]
        if not last.sum():
            continue
        share, low, high = share_of(last, labels.get(label))
        of = f"items of {kind}" if label == UNKNOWN else f"users of {kind}"
        is_alarm = limit is not None and low > limit
        yield Figure("unknown", of, share, low, high, limit, is_alarm, "not in the snapshot")


def _drifts(
    counts: Mapping[str, EventCounts],
    fields: Mapping[str, list[Field]],
    settings: WatchSettings,
) -> Iterator[Figure]:
    for kind, of_kind in fields.items():
        for field in of_kind:
            by_day = counts[kind].of_field(field.name)
            found = drift(by_day)
            if found is None:
                continue
            limit = max(settings.max_psi, found.usual_psi)
            most = _most_changed(by_day, field)
            note = f"{found.js:.4f} bits; most: {most}"
            yield Figure(
                "drift", f"{kind}: {field.name}", found.psi, found.psi_low, found.psi_high,
                limit, found.psi_low > limit, note,
            )  # fmt: skip


def _most_changed(by_day: Integers, field: Field) -> str:
    """Return the bin whose share has changed most, with both shares."""
    before, last = (one.sum(axis=tuple(range(one.ndim - 1))) for one in (by_day[:-1], by_day[-1]))
    before, last = before / before.sum(), last / last.sum()
    most = int(np.argmax(np.abs(last - before)))
    label = next(name for name, number in field.labels.items() if number == most)
    return f"{label} {before[most]:.1%} to {last[most]:.1%}"


def _concentrations(items: ItemCounts, settings: WatchSettings) -> Iterator[Figure]:
    of_views = concentration(items.watched, items.watched)
    found = {"views": of_views} | {
        f"generation {generation}": concentration(shown, items.watched)
        for generation, shown in sorted(items.shown.items())
    }
    for name, note in _CONCENTRATION:
        for of, one in found.items():
            if one is not None:
                value = getattr(one, name)
                limit = settings.max_top_share if name == "top_share" and of != "views" else None
                is_alarm = limit is not None and value > limit
                yield Figure(name, of, value, limit=limit, is_alarm=is_alarm, note=note)
    for of, one in found.items():
        if one is not None and of_views is not None and of != "views" and of_views.top_share:
            value = one.top_share / of_views.top_share
            yield Figure("amplification", of, value, note="top_share of it / of views")


def _calibrations(items: ItemCounts, genres: sp.csr_matrix) -> Iterator[Figure]:
    for generation in sorted(items.shown):
        found = calibration(items.pairs, f"shown {generation}", genres)
        if found is not None:
            note = f"genres shown and watched, {found.n_users:,} users; 0 is perfect"
            of = f"generation {generation}"
            yield Figure("calibration", of, found.value, found.low, found.high, note=note)
