"""The figures of the last look, for Prometheus on a port."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge

from stream.metrics_port import serve_metrics
from stream.watch.figures import Figure


class WatchMetrics:
    """Gauges of every figure.

    Attributes:
        registry: Registry of all of them.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ["name", "of"]
        self._value = Gauge("marquee_watch_value", "Figures", labels, registry=registry)
        self._interval = Gauge(
            "marquee_watch_interval", "Ends of their 95 % intervals", [*labels, "end"],
            registry=registry,
        )  # fmt: skip
        self._alarm = Gauge(
            "marquee_watch_alarm", "1 for a figure beyond its limit", labels, registry=registry
        )
        self._at = Gauge(
            "marquee_watch_end_seconds", "End of the 24 hours, by the log's clock",
            registry=registry,
        )  # fmt: skip

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus on a port, in a thread of its own.

        Raises:
            PortError: The port is taken, or the address is not of this machine.
        """
        serve_metrics(self.registry, host, port, "watch")

    def show(self, end_at: int, figures: Sequence[Figure]) -> None:
        """Replace all gauges."""
        self._value.clear()
        self._interval.clear()
        self._alarm.clear()
        self._at.set(end_at)
        for figure in figures:
            self._value.labels(figure.name, figure.of).set(figure.value)
            for end, value in (("low", figure.low), ("high", figure.high)):
                if value is not None:
                    self._interval.labels(figure.name, figure.of, end).set(value)
            self._alarm.labels(figure.name, figure.of).set(figure.is_alarm)
