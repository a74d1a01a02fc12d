"""The `[trust]` section of `marquee.toml`."""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """The section `[trust]`: limits of the influence of new accounts on the lists of others.

    Attributes:
        bounded: Whether the influence of young accounts is bounded, and the growth of items
            that old accounts do not support.
        detection: Whether items with a burst and signs of an attack weigh half for a night.
        young_days: Age in days from which an account has full influence; below it, influence
            grows in proportion to age.
        max_young_ratio: Maximum weight of young accounts on an item, beside that of the others,
            in multiples of the usual one.
        old_days: Age in days from which accounts support the growth of an item.
        max_growth: Maximum growth in a night of the number of lists that hold an item without
            such support, as a share of the lists that hold it now.
        min_lists_share: Share of the lists that any item may enter without such support.
    """

    bounded: bool = True
    detection: bool = True
    young_days: float = 7.0
    max_young_ratio: float = 3.0
    old_days: float = 30.0
    max_growth: float = 0.1
    min_lists_share: float = 0.001

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if value < 0 or not math.isfinite(value):
                raise ValueError(f"{setting.name} must be 0 or more, and finite, not {value}")
        if self.old_days < self.young_days:
            raise ValueError(
                f"old_days must be at least young_days, {self.young_days:g}, not {self.old_days:g}"
            )
        if self.min_lists_share > 1:
            raise ValueError(f"min_lists_share must be at most 1, not {self.min_lists_share}")
