"""The context of the rules: items, and the time of the refresh."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from batch.records.catalogue import Item


@dataclass(frozen=True, slots=True)
class RuleContext:
    """Data that rules are made from; item rows are those of the factors.

    Attributes:
        item_ids: (n_items,) id of each item row.
        items: (n_items,) catalogue entry of each item row.
        existing: Ids of all existing items, with a row or without.
        at: Time that availability counts from, with its zone.
        user_ids: (n_users,) id of each user row.
        salt: Salt of exploration.
        warnings: Warnings for the summary, a sentence each; rules append to it.
        counts: Counts for the manifest; rules add to it.
    """

    item_ids: Sequence[str]
    items: Sequence[Item]
    existing: Collection[str]
    at: datetime
    user_ids: pa.StringArray
    salt: str
    warnings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
