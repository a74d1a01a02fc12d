"""Statistics of event files, real or simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.arrays import Flags, Floats, Rows
from batch.events.events import Events
from batch.events.lines import read_blocks
from batch.events.read import read_events
from batch.settings import BatchSettings
from batch.sql.source import DatabaseInput

SAME_PAIRS: Final = "same pairs of items, over chance"

_RANKS: Final = (1, 10, 100, 1000, 10_000)
_MINUTE_QUANTILES: Final = (0.25, 0.5, 0.75, 0.95)
_HOURS: Final = 4  # that stand together in the table
_MAX_MINUTES: Final = 1440
_MIN_PAIRS: Final = 1000  # fewer say nothing
_MINUTE_LINE: Final = (
    r"^\d{4}-\d\d-\d\dT(?P<hour>\d\d):\d\d[^,]*,\d+,GET /data/m/[^/]+/(?P<minute>\d{1,4})\.mpg"
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of one source.

    Attributes:
        name: Name of the source.
        figures: Values by name; statistics that a source lacks are missing.
    """

    name: str
    figures: Mapping[str, float]


def measure(paths: Sequence[Path], name: str, quarantine: Path) -> Statistics:
    """Read files of events of any kind and measure them.

    Args:
        paths: Files or directories of events, like `--events` of the refresh.
        name: Column title in the table.
        quarantine: Directory for rejected lines.

    Raises:
        InputError: A file cannot be read, or is of an unknown kind.
    """
    settings = BatchSettings(
        events=tuple(map(str, paths)), quarantine=str(quarantine), quarantine_keep=1,
        max_rejected_share=1.0,
    )  # fmt: skip
    events = read_events(settings).events
    hours, minutes = _watched(events)
    figures = {
        **_activity(events),
        **_minutes(minutes),
        **_ratings(events.ratings["rating"].to_numpy()),
        **_hours(hours if hours.any() else _rated_hours(events)),
    }
    return Statistics(name, figures)


def _activity(events: Events) -> dict[str, float]:
    """Return how views spread over users and over items; a view is a pair of both."""
    columns = {
        name: pa.chunked_array([*events.views[name].chunks, *events.ratings[name].chunks])
        for name in ("user_id", "item_id")
    }
    pairs = pa.table(columns).unify_dictionaries().group_by(["user_id", "item_id"]).aggregate([])
    per_user = _counts(pairs["user_id"])
    per_item = np.sort(_counts(pairs["item_id"]))[::-1]
    top = np.cumsum(per_item) / per_item.sum()
    return {
        "users": float(len(per_user)),
        "items": float(len(per_item)),
        "views": float(len(pairs)),
        "views per user": float(per_user.mean()),
        **{f"users with {n} view{'s' * (n > 1)}": _share(per_user == n) for n in (1, 2, 3)},
        "users with 5 views or more": _share(per_user >= 5),
        **{
            f"views of the top {rank:,} item{'s' * (rank > 1)}": float(top[rank - 1])
            for rank in _RANKS
            if rank <= len(top)
        },
        **_same_pairs(pairs),
    }


def _same_pairs(pairs: pa.Table) -> dict[str, float]:
    """Return how often users of two items have the same pair, relative to independent items.

    It is 1 for independent items and larger with tastes. Users of more items are left
    out: their items are less popular, which would have the same effect as taste.

    Two such pairs drawn from items by their shares p, the items of a pair not the same, are
    the same with the probability

        2 · (s₂² - s₄) / (1 - s₂)²,   s_n = Σ_i p_i^n

    Args:
        pairs: Distinct pairs of a user and an item.
    """
    codes = (pairs[name].combine_chunks().indices.to_numpy() for name in ("user_id", "item_id"))
    users, items = (np.unique(column, return_inverse=True)[1] for column in codes)
    watched = sp.csr_matrix((np.ones(len(users), np.int64), (users, items)))
    watched = watched[np.diff(watched.indptr) == 2]
    n_pairs = watched.shape[0]
    if n_pairs < _MIN_PAIRS:
        return {}
    counts = sp.triu(watched.T @ watched, 1).data
    same = (counts * (counts - 1)).sum() / (n_pairs * (n_pairs - 1))
    p = np.asarray(watched.sum(axis=0)).ravel() / (2 * n_pairs)
    by_chance = 2 * ((p**2).sum() ** 2 - (p**4).sum()) / (1 - (p**2).sum()) ** 2
    return {SAME_PAIRS: float(same / by_chance)}


def _watched(events: Events) -> tuple[Rows, Rows]:
    """Count the lines of a minute by hour of the day and by minute, in all stream logs."""
    hours, minutes = np.zeros(24, np.int64), np.zeros(_MAX_MINUTES, np.int64)
    for source in events.sources:
        if isinstance(source.path, DatabaseInput) or source.kind != "stream log":
            continue
        for block in read_blocks(source.path):
            found = pc.extract_regex(block.lines, pattern=_MINUTE_LINE).drop_null()
            hour, minute = (column.cast(pa.string()).cast(pa.int64()) for column in found.flatten())
            hours += np.bincount(hour.to_numpy() % 24, minlength=24)
            capped = np.minimum(minute.to_numpy(), _MAX_MINUTES - 1)
            minutes += np.bincount(capped, minlength=_MAX_MINUTES)
    return hours, minutes


def _rated_hours(events: Events) -> Rows:
    at = events.ratings["at"].to_numpy()
    return np.bincount(at[at > 0] // 3600 % 24, minlength=24)


def _minutes(counts: Rows) -> dict[str, float]:
    if not counts.any():
        return {}
    below = np.cumsum(counts) / counts.sum()
    return {
        "minute of a line, mean": float(counts @ np.arange(len(counts)) / counts.sum()),
        **{
            f"minute of a line, {quantile:.0%} below": float(np.searchsorted(below, quantile))
            for quantile in _MINUTE_QUANTILES
        },
    }


def _ratings(rating: Floats) -> dict[str, float]:
    """Return the shares of the stars of 5; a scale to 10 counts half stars, halves count up."""
    rating = rating[(rating > 0) & (rating <= 10)]
    if not len(rating):
        return {}
    stars = np.ceil(rating / 2 if (rating > 5).mean() > 0.01 else rating)
    return {
        "rating, mean": float(stars.mean()),
        **{f"ratings of {star}": _share(stars == star) for star in range(1, 6)},
    }


def _hours(counts: Rows) -> dict[str, float]:
    if np.count_nonzero(counts) < 24:  # a stretch of a day says nothing about it
        return {}
    shares = counts.reshape(-1, _HOURS).sum(axis=1) / counts.sum()
    return {
        f"from {_HOURS * row:02d} to {_HOURS * (row + 1):02d} o'clock": float(part)
        for row, part in enumerate(shares)
    }


def _counts(ids: pa.ChunkedArray) -> Rows:
    counts: Rows = pc.value_counts(ids.combine_chunks()).field("counts").to_numpy()
    return counts


def _share(is_so: Flags) -> float:
    return float(is_so.mean())
