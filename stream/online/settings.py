"""The `[online]` section of `marquee.toml`."""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class OnlineSettings:
    """The section `[online]`: what counts as a click, what is kept, and the gauges.

    Attributes:
        path: Directory of the requests kept by hour.
        access_log: Access log of the server, for quality of the interface, and for all figures
            where the stream has no lines of answers.
        click_hours: Hours after an answer within which a view of an item that it showed counts
            as a click.
        late_hours: Hours by which an event may be late and still be counted.
        limit_ms: Milliseconds within which an answer is available.
        min_group_users: Number of users below which the figures of a group are not shown.
        utc_offset_minutes: Minutes by which the clock of the events is ahead of UTC.
        part_requests: Number of requests that are held at a time, which limits memory.
        gauge_hours: Hours, up to the newest event, that the gauges cover.
        poll_seconds: Time between two updates of the gauges.
        metrics_host: Address of the gauges.
        metrics_port: Port of the gauges; 0: none.
    """

    path: str = "var/online"
    access_log: str = "var/log/access.log"
    click_hours: float = 24.0
    late_hours: float = 6.0
    limit_ms: int = 600
    min_group_users: int = 50
    utc_offset_minutes: int = 0
    part_requests: int = 250_000
    gauge_hours: float = 24.0
    poll_seconds: float = 300.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9104

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{setting.name} must be finite")
        for name in ("click_hours", "limit_ms", "part_requests", "gauge_hours", "poll_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if not self.path:
            raise ValueError("path must not be empty")
        for name in ("late_hours", "min_group_users"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more")
        if abs(self.utc_offset_minutes) > 24 * 60:
            raise ValueError("utc_offset_minutes must lie between -1440 and 1440")
        if not 0 <= self.metrics_port <= 65_535:
            raise ValueError("metrics_port must lie between 0 and 65535")
