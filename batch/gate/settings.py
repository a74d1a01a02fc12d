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
    """The section `[gate]`: thresholds that a snapshot must meet to be published.

    Attributes:
        min_users_share: Minimum share of the served snapshot's users that have a list; a
            snapshot with fewer is refused.
        min_items_share: Minimum share of the served snapshot's items that can be
            recommended.
        max_short_share: Maximum share of the lists with fewer than 20 items, though the
            user has enough unseen ones.
        max_repeat_share: Maximum share of the lists with the same item twice.
        max_loss_to_served: Maximum loss of NDCG@20 to the served lists, as a share of
            theirs; a snapshot is refused if the whole 95 % interval is below it. Wide,
            because of exposure bias.
        max_loss_to_popular: Maximum loss of NDCG@20 to the popular list, as a share of its
            own.
        min_evaluated_users: Minimum users on the last day; with fewer, quality is not
            evaluated.
        max_evaluated_users: Maximum users to evaluate, a random sample of those on the
            last day.
    """

    min_users_share: float = 0.9
    min_items_share: float = 0.9
    max_short_share: float = 0.01
    max_repeat_share: float = 0.0
    max_loss_to_served: float = 0.5
    max_loss_to_popular: float = 0.05
    min_evaluated_users: int = 100
    max_evaluated_users: int = 20_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or not math.isfinite(value):
                raise ValueError(f"{field.name} must be 0 or more, and finite, not {value}")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if self.min_evaluated_users < 2:
            raise ValueError(
                f"min_evaluated_users must be at least 2, not {self.min_evaluated_users}"
            )
        if self.max_evaluated_users < self.min_evaluated_users:
            raise ValueError(
                "max_evaluated_users must be at least min_evaluated_users, "
                f"{self.min_evaluated_users}, not {self.max_evaluated_users}"
            )
