"""The context of the rules: items, and the time of the refresh."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from batch.arrays import Rows
from batch.records.catalogue import Item


@dataclass(frozen=True, slots=True)
class RuleContext:
    """Data that rules are made from; item rows are those of the factors.

    Attributes:
        item_ids: (n_items,) id of each item row.
        items: (n_items,) catalogue entry of each item row.
        n_users_of: (n_items,) number of users of each item.
        existing: Ids of all existing items, with a row or without.
        at: Time that availability counts from, with its zone.
        seed: Random seed of exploration.
        warnings: Warnings for the summary, a sentence each; rules append to it.
    """

    item_ids: Sequence[str]
    items: Sequence[Item]
    n_users_of: Rows
    existing: Collection[str]
    at: datetime
    seed: int
    warnings: list[str] = field(default_factory=list)
