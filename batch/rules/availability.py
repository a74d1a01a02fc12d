"""Availability: only what may be shown until the next refresh is recommended.

    refresh ├──────── hours ────────┤
        ├───────────────────────────────┤     recommended
        ├───────────────┤                     not: it ends in between
              ├─────────────────────────┤     not: it is not there yet

The catalogue says `available_from` and `available_until`; what lacks is an open end.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from batch.arrays import Flags
from batch.records.catalogue import Item
from batch.records.fields import UNREADABLE
from batch.rules.context import RuleContext


def unavailable(known: RuleContext, hours: float) -> Flags:
    """Return (n_items,) whether each item is missing during any part of the next hours.

    A time that cannot be read hides its item, and is warned of: a licence that may
    have ended is no open end.
    """
    begins, ends = _text(known.at), _text(known.at + timedelta(hours=hours))
    n_unreadable = sum(map(_is_unreadable, known.items))
    if n_unreadable:
        known.warnings.append(
            f"availability: {n_unreadable:,} items are not recommended, "
            "for their available_from or available_until is no ISO 8601 time"
        )
    return np.array([not _covers(item, begins, ends) for item in known.items], np.bool_)


def _covers(item: Item, begins: str, ends: str) -> bool:
    """Compare as text, which sorts like the times, all in UTC and of one form."""
    return not (
        _is_unreadable(item)
        or (item.available_from is not None and item.available_from > begins)
        or (item.available_until is not None and item.available_until < ends)
    )


def _is_unreadable(item: Item) -> bool:
    return UNREADABLE in (item.available_from, item.available_until)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
