"""The `[watch]` section of `marquee.toml`."""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """The section `[watch]`: what the last 24 hours are compared with, and what is an alarm.

    Attributes:
        reference_days: Number of days before the last 24 hours that these are compared with.
        max_psi: Population stability index of a field above which a drift is an alarm.
        max_deviations: Robust standard deviations of an hour's events from the usual number
            above which they are an alarm.
        max_rejected_share: Share of broken lines above which they are an alarm.
        max_unknown_share: Share of views of items that the snapshot does not have above which
            they are an alarm.
        max_top_share: Share of the shown items in the most watched tenth of the catalogue above
            which it is an alarm; 1: none.
        max_group_loss: Share by which clicks, or minutes, a request of a group of users may lie
            below those of all others before it is an alarm.
        alpha: Probability of a false alarm about the quality of groups, over all looks of
            `reference_days` days.
        folder: Directory of the figures that are kept.
        keep_days: Age in days from which figures are removed; 0: any.
        metrics_host: Address of the gauges.
        metrics_port: Port of the gauges; 0: none.
    """

    reference_days: int = 28
    max_psi: float = 0.2
    max_deviations: float = 6.0
    max_rejected_share: float = 0.01
    max_unknown_share: float = 0.05
    max_top_share: float = 1.0
    max_group_loss: float = 0.2
    alpha: float = 0.05
    folder: str = "var/online/watch"
    keep_days: float = 400.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9105

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, int | float) and (value < 0 or not math.isfinite(value)):
                raise ValueError(f"{setting.name} must be 0 or more, and finite")
        if self.reference_days < 1:
            raise ValueError("reference_days must be at least 1")
        if not 0 < self.alpha < 1:
            raise ValueError("alpha must lie between 0 and 1")
        for name in ("max_rejected_share", "max_unknown_share", "max_top_share", "max_group_loss"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} must be at most 1")
        if self.metrics_port > 65_535:
            raise ValueError("metrics_port must be at most 65535")
        if not self.folder:
            raise ValueError("folder must not be empty")
