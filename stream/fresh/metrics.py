"""The speed layer's figures, for Prometheus on a port."""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.metrics_port import serve_metrics

_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0)


class FreshMetrics:
    """Counters and gauges of one speed layer.

    Attributes:
        registry: Registry of all of them.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._generation = Gauge(
            "marquee_fresh_generation", "Generation whose model is used", registry=registry
        )
        self._made = Counter("marquee_fresh_made", "Fresh lists made", registry=registry)
        self._lists = Gauge("marquee_fresh_users", "Users with a fresh list", registry=registry)
        self._damaged = Counter(
            "marquee_fresh_damaged", "Damaged histories found and removed", registry=registry
        )
        self._files = Counter(
            "marquee_fresh_files", "Files of new events read", ["part"], registry=registry
        )
        self._seconds = Histogram(
            "marquee_fresh_seconds", "Time from a segment on disk to its last list",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._event_seconds = Histogram(
            "marquee_fresh_event_seconds",
            "Time from the arrival of a segment's first event to its last list",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._newest = Gauge(
            "marquee_fresh_newest_list_seconds", "Time when the newest list was made",
            registry=registry,
        )  # fmt: skip

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus on a port, in a thread of its own.

        Raises:
            PortError: The port is taken, or the address is not of this machine.
        """
        serve_metrics(self.registry, host, port, "fresh")

    def follow(self, generation: int) -> None:
        """Record that another generation is followed."""
        self._generation.set(generation)

    def wrote(self, n_made: int, n_users: int) -> None:
        """Record that lists were written, and of how many users there are some now."""
        self._made.inc(n_made)
        self._lists.set(n_users)
        self._newest.set(time.time())

    def found_damaged(self, n_damaged: int) -> None:
        """Record that damaged histories were found."""
        self._damaged.inc(n_damaged)

    def read(self, *, is_segment: bool, written_at: float, arrived_at: float) -> None:
        """Record that all events of a file are in lists now.

        Args:
            is_segment: Whether the file is a segment, and not a whole day.
            written_at: Time when it was written, seconds since 1970.
            arrived_at: Time when its first event arrived, seconds since 1970; 0 where unknown.
        """
        self._files.labels("segment" if is_segment else "day").inc()
        if is_segment:
            self._seconds.observe(time.time() - written_at)
            if arrived_at:
                self._event_seconds.observe(time.time() - arrived_at)
