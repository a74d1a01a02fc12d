"""The `[fresh]` section of `marquee.toml`."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FreshSettings:
    """The section `[fresh]`: how the speed layer looks for events, and what it uses.

    Attributes:
        poll_seconds: Time between two looks at the events and the store.
        batch_users: Number of users that are folded in at a time, which limits memory.
        n_threads: Number of threads; 0: one for each usable processor.
        metrics_host: Address of the metrics.
        metrics_port: Port of the metrics; 0: none.
    """

    poll_seconds: float = 0.2
    batch_users: int = 1024
    n_threads: int = 1
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9103

    def __post_init__(self) -> None:
        if not 0 < self.poll_seconds < math.inf:
            raise ValueError("poll_seconds must be above 0, and finite")
        if self.batch_users < 1:
            raise ValueError("batch_users must be at least 1")
        if self.n_threads < 0:
            raise ValueError("n_threads must be 0 or more")
        if not 0 <= self.metrics_port <= 65_535:
            raise ValueError("metrics_port must lie between 0 and 65535")
