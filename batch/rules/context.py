"""What the rules know when they are made."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from batch.records.catalogue import Item


@dataclass(frozen=True, slots=True)
class RuleContext:
    """Items, and the moment of the refresh; rows are those of the factors.

    Attributes:
        item_ids: (n_items,).
        items: (n_items,) what the catalogue says of each.
        n_users_of: (n_items,) users that have each.
        existing: Ids of all items there are, with a row or without.
        at: When the refresh began, with its zone.
        seed: Of everything random.
        warnings: Sentences for people, added to by whoever has one.
    """

    item_ids: Sequence[str]
    items: Sequence[Item]
    n_users_of: npt.NDArray[np.int64]
    existing: Collection[str]
    at: datetime
    seed: int
    warnings: list[str] = field(default_factory=list)
