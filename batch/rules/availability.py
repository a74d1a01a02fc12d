"""Availability: items are recommended only if they may be shown until the next refresh.

    refresh ├──────── hours ────────┤
        ├───────────────────────────────┤     recommended
        ├───────────────┤                     not: ends too early
              ├─────────────────────────┤     not: begins too late

The catalogue has `available_from` and `available_until`; a missing one is an open end.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from batch.arrays import Flags
from batch.records.catalogue import Item
from batch.records.fields import UNREADABLE
from batch.rules.context import RuleContext


def unavailable(context: RuleContext, hours: float) -> Flags:
    """Return (n_items,) whether each item is missing during any part of the next hours.

    An item with an unreadable time is hidden, with a warning: its licence may have ended.
    """
    begins, ends = _text(context.at), _text(context.at + timedelta(hours=hours))
    n_unreadable = sum(map(_is_unreadable, context.items))
    if n_unreadable:
        context.warnings.append(
            f"availability: {n_unreadable:,} items are not recommended, "
            "because their available_from or available_until is not an ISO 8601 time"
        )
    return np.array([not _covers(item, begins, ends) for item in context.items], np.bool_)


def _covers(item: Item, begins: str, ends: str) -> bool:
    """Compare as text, which sorts like the times: all are in UTC, in one format."""
    return not (
        _is_unreadable(item)
        or (item.available_from is not None and item.available_from > begins)
        or (item.available_until is not None and item.available_until < ends)
    )


def _is_unreadable(item: Item) -> bool:
    return UNREADABLE in (item.available_from, item.available_until)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
