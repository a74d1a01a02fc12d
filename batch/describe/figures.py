"""Figures of the interactions that a refresh would learn from, aggregated: no row a user."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from batch.arrays import Flags, Floats, Integers, Rows, Times
from batch.evaluation.groups import ALL, groups_of
from batch.input_counts import count_inputs
from batch.inputs import RefreshInputs
from batch.interactions.aggregate import AggregatedEvents
from batch.records.catalogue import Item
from batch.report.changes import gini
from batch.report.document import MIN_GROUP_USERS
from batch.settings import BatchSettings

_COUNT_STEPS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # lower ends of the bins
_MINUTE_STEPS: Final = (0, 5, 15, 30, 60, 90, 120, 180)
_SHARE_STEPS: Final = (0, 10, 25, 50, 75, 90, 100)  # per cent of an item
_CURVE_POINTS: Final = (0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)
_MAX_RATINGS: Final = 12  # distinct ratings that are counted one by one
_RARE_ITEM_USERS: Final = 5
_N_PERIODS: Final = 30
_N_TOP: Final = 10
_DAY: Final = 86_400


def figures(
    inputs: RefreshInputs, found: AggregatedEvents, settings: BatchSettings
) -> dict[str, Any]:
    """Return the figures of interactions, users, items, times, views, ratings and groups.

    Args:
        inputs: Everything that was read.
        found: Interactions of the events among them.
        settings: Settings that name the inputs.
    """
    n_of_user = np.diff(found.pairs.indptr).astype(np.int64)
    n_of_item = np.bincount(found.pairs.indices, minlength=len(found.item_ids))
    return {
        "data": _data(inputs, found, settings),
        "users": _spread(n_of_user) | {"n_with_one": int((n_of_user == 1).sum())},
        "items": _items(inputs, found, n_of_item),
        "times": None if found.began_at is None else _times(found.began_at),
        "views": _views(inputs, found.evidence.watched),
        "ratings": _ratings(found.evidence.rating),
        "groups": _groups(inputs, found, n_of_user),
    }


def _data(
    inputs: RefreshInputs, found: AggregatedEvents, settings: BatchSettings
) -> dict[str, Any]:
    n_users, n_items, n_pairs = len(found.user_ids), len(found.item_ids), found.pairs.n_pairs
    return {
        "n_users": n_users,
        "n_items": n_items,
        "n_interactions": n_pairs,
        "density": n_pairs / (n_users * n_items),
        "n_lines": sum(source.n_lines for source in inputs.events.sources),
        "n_users_without": found.n_users_without,
        "rejected": dict(inputs.rejected),
        "dropped": dict(found.dropped),
        "inputs": [
            {
                "use": one.use,
                "name": one.name,
                "n_files": one.n_files,
                "n_rows": one.n_rows,
                "n_rejected": one.n_rejected,
                "columns": dict(one.columns),
            }
            for one in count_inputs(inputs, settings)
        ],
        "notes": list(inputs.notes),
    }


def _items(inputs: RefreshInputs, found: AggregatedEvents, n_of_item: Rows) -> dict[str, Any]:
    known = inputs.catalogue.items
    top = np.argsort(-n_of_item, kind="stable")[:_N_TOP]
    ids = [found.item_ids[int(row)].as_py() for row in top]
    return _spread(n_of_item) | {
        "n_rare": int((n_of_item < _RARE_ITEM_USERS).sum()),
        "rare_below": _RARE_ITEM_USERS,
        "n_in_catalogue": len(known),
        "n_never_watched": len(known.keys() - set(found.item_ids.to_pylist())) if known else None,
        "gini": gini(n_of_item, len(n_of_item)),
        "curve": _curve(n_of_item),
        "top": [
            {"item_id": item_id, "title": _title(known.get(item_id), item_id), "n_users": int(n)}
            for item_id, n in zip(ids, n_of_item[top], strict=True)
        ],
    }


def _title(item: Item | None, item_id: str) -> str:
    if item is None or not item.title:
        return item_id
    return f"{item.title} ({item.year})" if item.year else item.title


def _spread(counts: Integers) -> dict[str, Any]:
    """Return mean, quantiles and bins of numbers of interactions, each at least 1."""
    median, p90 = np.quantile(counts, (0.5, 0.9))
    return {
        "mean": float(counts.mean()),
        "median": float(median),
        "p90": float(p90),
        "max": int(counts.max()),
        "bins": _bins(counts, _COUNT_STEPS, is_whole=True),
    }


def _curve(n_of_item: Rows) -> list[tuple[float, float]]:
    """Return (share of the items, the most watched first; share of the interactions)."""
    watched = np.append(0, np.cumsum(np.sort(n_of_item)[::-1]))
    n_items = len(n_of_item)
    n_top = sorted({round(share * n_items) for share in _CURVE_POINTS})  # few items: fewer points
    return [(n / n_items, float(watched[n] / watched[-1])) for n in n_top]


def _times(began_at: Times) -> dict[str, Any]:
    """Return when interactions began, by the clock of the log."""
    at = began_at[began_at > 0]
    first, last = int(at.min()), int(at.max())
    hours = np.bincount(at % _DAY // 3600, minlength=24)
    weekdays = np.bincount((at // _DAY + 3) % 7, minlength=7)  # the epoch was a Thursday
    periods, _ = np.histogram(at, _N_PERIODS, (first, max(last, first + 1)))
    return {
        "first_at": _iso(first),
        "last_at": _iso(last),
        "n_unknown": len(began_at) - len(at),
        "hours": hours.tolist(),
        "weekdays": weekdays.tolist(),
        "periods": periods.tolist(),
        "period_seconds": (last - first) / _N_PERIODS,
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()


def _views(inputs: RefreshInputs, watched: Floats) -> dict[str, Any] | None:
    """Return furthest minutes and shares of the items; None if none is known."""
    minute = inputs.events.views["minute"]
    minutes = pc.drop_null(pc.filter(minute, pc.greater_equal(minute, 0))).to_numpy()
    share = watched[~np.isnan(watched)]
    if not len(share) or not len(minutes):
        return None
    return {
        "n_lines": int(pc.sum(inputs.events.views["n_events"]).as_py()),
        "n_with_minutes": len(minutes),
        "median_minutes": float(np.median(minutes)),
        "minutes": _bins(minutes, _MINUTE_STEPS),
        "share_watched": _bins(np.floor(share * 100), _SHARE_STEPS),
    }


def _ratings(rating: Floats) -> dict[str, Any] | None:
    """Return the latest ratings of the pairs; None without any."""
    given = rating[rating > 0].astype(np.float64)
    if not len(given):
        return None
    values, n = np.unique(given, return_counts=True)
    labels = [f"{value:g}" for value in values]
    if len(values) > _MAX_RATINGS:
        n, ends = np.histogram(given, 10)
        labels = [f"{low:.3g}–{high:.3g}" for low, high in pairwise(ends)]
    return {"n": len(given), "mean": float(given.mean()), "bins": _labelled(labels, n)}


def _groups(inputs: RefreshInputs, found: AggregatedEvents, n_of_user: Rows) -> dict[str, Any]:
    """Return size and mean interactions of the groups that are large enough to be shown."""
    members: Mapping[str, Flags] = groups_of(
        found.user_ids.to_pylist(), n_of_user, inputs.profiles.users
    )
    shown = {name: flags for name, flags in members.items() if flags.sum() >= MIN_GROUP_USERS}
    return {
        "min_users": MIN_GROUP_USERS,
        "n_suppressed": len(members) - len(shown),
        "n_with_profile": len(inputs.profiles.users.keys() & set(found.user_ids.to_pylist())),
        "shown": [
            {"group": name, "n_users": int(flags.sum()), "mean": float(n_of_user[flags].mean())}
            for name, flags in shown.items()
            if name != ALL
        ],
    }


def _bins(
    values: Integers | Floats, lowest: Sequence[int], *, is_whole: bool = False
) -> list[dict[str, Any]]:
    """Return how many values are in each bin, from its lower end up to below the next one's.

    Empty bins behind the last value are left out.
    """
    n = np.bincount(np.searchsorted(lowest, values, side="right") - 1, minlength=len(lowest))
    labels = []
    n = np.trim_zeros(n, "b")
    for low, high in zip(lowest, (*lowest[1:], None), strict=True):
        if high is None:
            labels.append(f"{low:,}+")
        elif is_whole:
            labels.append(f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}")
        else:
            labels.append(f"{low:,}–<{high:,}")
    return _labelled(labels[: len(n)], n)


def _labelled(labels: Sequence[str], counts: Integers) -> list[dict[str, Any]]:
    return [{"label": name, "n": int(n)} for name, n in zip(labels, counts, strict=True)]
