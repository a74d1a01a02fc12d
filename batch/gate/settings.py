"""The `[gate]` section of `marquee.toml`."""

import math
from dataclasses import dataclass, fields
from typing import Final

_SHARES: Final = (
    "min_users_share", "min_items_share", "max_short_share", "max_repeat_share",
    "max_loss_to_served", "max_loss_to_popular",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a snapshot must be like to be published.

    Attributes:
        min_users_share: Of the served snapshot's users that have a list.
        min_items_share: Of the served snapshot's items that can be recommended.
        max_short_share: Of the lists that have fewer than 20 items though the user
            has not seen as many.
        max_repeat_share: Of the lists that hold an item twice.
        max_loss_to_served: Of the NDCG@20 that the served lists have on the last day: a
            loss that is surely larger is refused. It must be wide: users watch what
            they are shown, so on their own day the served lists look better than they are.
        max_loss_to_popular: Likewise of the popular list's.
        min_judged: With fewer users to judge by, quality is not judged.
        most_judged: Users to judge by at most.
    """

    min_users_share: float = 0.9
    min_items_share: float = 0.9
    max_short_share: float = 0.01
    max_repeat_share: float = 0.0
    max_loss_to_served: float = 0.5
    max_loss_to_popular: float = 0.05
    min_judged: int = 100
    most_judged: int = 20_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or not math.isfinite(value):
                raise ValueError(f"{field.name} must be 0 or more, and finite, not {value}")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if self.min_judged < 2:
            raise ValueError(f"min_judged must be at least 2, not {self.min_judged}")
        if self.most_judged < self.min_judged:
            raise ValueError(f"most_judged must be at least min_judged, {self.min_judged}")
