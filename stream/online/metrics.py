"""The online figures as gauges, for Prometheus on a port."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from stream.metrics_port import serve_metrics
from stream.online.experiment_gauges import ExperimentGauges
from stream.online.figures import METRICS, Sums


class OnlineGauges:
    """Gauges of the latest span of time.

    Attributes:
        registry: Registry of all of them.
        experiment: Gauges of the experiment that runs.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Gauge(
            "marquee_online_requests", "Well-formed requests", ["by", "label"], registry=registry
        )
        self._figures = {
            metric.name: Gauge(
                f"marquee_online_{metric.name}", metric.description, ["by", "label"],
                registry=registry,
            )
            for metric in METRICS
        }  # fmt: skip
        self._latency = Gauge(
            "marquee_online_latency_ms", "Percentiles of latency", ["by", "label", "percentile"],
            registry=registry,
        )  # fmt: skip
        self._interface = Gauge(
            "marquee_online_interface_share", "Requests that clients should not send", ["kind"],
            registry=registry,
        )  # fmt: skip
        self._newest = Gauge(
            "marquee_online_newest_event_seconds", "Time of the newest event", registry=registry
        )
        self.experiment = ExperimentGauges(registry)

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus on a port, in a thread of its own.

        Raises:
            PortError: The port is taken, or the address is not of this machine.
        """
        serve_metrics(self.registry, host, port, "online")

    def set(
        self,
        figures: Mapping[str, Mapping[str, Sums]],
        interface: Mapping[str, float],
        newest: int,
    ) -> None:
        """Set all gauges; labels that are gone are removed.

        Args:
            figures: Sums by kind of label and label.
            interface: Shares by kind.
            newest: Time of the newest event.
        """
        self._newest.set(newest)
        for gauge in (self._requests, self._latency, *self._figures.values()):
            gauge.clear()
        for by, labels in figures.items():
            for label, sums in labels.items():
                self._requests.labels(by, label).set(sums.total("n_requests"))
                for metric in METRICS:
                    if (value := sums.value(metric)) is not None:
                        self._figures[metric.name].labels(by, label).set(value)
                for name, value in sums.percentiles().items():
                    self._latency.labels(by, label, name.removesuffix("_ms")).set(value)
        for kind, value in interface.items():
            self._interface.labels(kind).set(value)
