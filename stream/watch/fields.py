"""The fields whose distributions are compared: how a row of events falls into a bin.

views     hour, minutes, item, genre, list and segment of the user
ratings   hour, rating
accounts  hour
answers   hour, status, milliseconds, items in the list, list and segment of the user
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes, Doubles, Integers
from stream.watch.known import KnownIds, labelled
from stream.watch.periods import HOUR_SECONDS

_MINUTES: Final = (1, 5, 15, 30, 60, 90, 120)
_MILLISECONDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 400, 600)
_N_ITEMS: Final = (0, 5, 10, 15, 19)


@dataclass(slots=True)
class Field:
    """A field of a type of event.

    Attributes:
        name: Name in figures.
        bins_of: Function of a table of events and the labels so far; it returns the bin of each
            row, -1 for none, and extends the labels.
        labels: Number of the bin of each label.
    """

    name: str
    bins_of: Callable[[pa.Table, dict[str, int]], Integers]
    labels: dict[str, int] = field(default_factory=dict)

    def __call__(self, events: pa.Table) -> Integers:
        """Return (n_events,) bin of each row, -1 for none."""
        return self.bins_of(events, self.labels)


def fields_of(known: KnownIds, top_items: Sequence[str]) -> Mapping[str, list[Field]]:
    """Return the fields of each type of event.

    Args:
        known: Labels of users and items.
        top_items: Items that have a bin each; all others share one.
    """
    top = frozenset(top_items)

    def item(item_id: str) -> str:
        return item_id if item_id in top else "other" if is_item(item_id) else "unknown"

    def is_item(item_id: str) -> bool:
        return known.is_item(item_id) == "known"

    of_user = [_ids("list of the user", "user_id", known.has_list),
               _ids("segment", "user_id", known.segment)]  # fmt: skip
    return {
        "views": [
            _hour("first_at"), _numbers("minutes", "minute", _MINUTES),
            _ids("item", "item_id", item), _ids("known item", "item_id", known.is_item),
            _ids("genre", "item_id", known.genre), *of_user,
        ],
        "ratings": [_hour("at"), _distinct("rating", "rating")],
        "accounts": [_hour("at")],
        "answers": [
            _hour("at"), _distinct("status", "status"),
            _numbers("milliseconds", "milliseconds", _MILLISECONDS),
            Field("items", _n_items), *_copies(of_user),
        ],
    }  # fmt: skip


def _copies(fields: Sequence[Field]) -> list[Field]:
    return [Field(one.name, one.bins_of) for one in fields]


def _ids(name: str, column: str, label: Callable[[str], str]) -> Field:
    return Field(name, lambda events, labels: labelled(events[column], label, labels))


def _hour(column: str) -> Field:
    def bins(events: pa.Table, labels: dict[str, int]) -> Integers:
        _label(labels, [f"{hour:02d} h" for hour in range(24)])
        at = pc.fill_null(events[column], -1).to_numpy()
        return np.where(at < 0, -1, at // HOUR_SECONDS % 24)

    return Field("hour", bins)


def _numbers(name: str, column: str, edges: Sequence[int]) -> Field:
    """Return a field of numbers up to each edge, above the last, and unknown (null or below 0)."""

    def bins(events: pa.Table, labels: dict[str, int]) -> Integers:
        _label(labels, [*(f"up to {edge}" for edge in edges), f"above {edges[-1]}", "unknown"])
        return _between(pc.fill_null(events[column], -1).to_numpy(), edges)

    return Field(name, bins)


def _n_items(answers: pa.Table, labels: dict[str, int]) -> Codes:
    _label(labels, [*(f"up to {edge}" for edge in _N_ITEMS), f"above {_N_ITEMS[-1]}", "unknown"])
    commas = pc.count_substring(pc.fill_null(answers["items"], ""), ",").to_numpy()
    is_list = pc.is_valid(answers["items"]).to_numpy()
    return _between(np.where(is_list, commas + 1, 0), _N_ITEMS)


def _between(values: Doubles | Integers, edges: Sequence[int]) -> Codes:
    found = np.searchsorted(edges, values, side="left")
    return np.where(values < 0, len(edges) + 1, found).astype(np.int32)


def _distinct(name: str, column: str) -> Field:
    def bins(events: pa.Table, labels: dict[str, int]) -> Integers:
        values, codes = np.unique(events[column].to_numpy(), return_inverse=True)
        numbers = [labels.setdefault(f"{value:g}", len(labels)) for value in values]
        return np.array(numbers, np.int32)[codes]

    return Field(name, bins)


def _label(labels: dict[str, int], names: Sequence[str]) -> None:
    for name in names:
        labels.setdefault(name, len(labels))
