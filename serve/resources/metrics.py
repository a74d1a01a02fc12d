"""`/metrics`: all workers summed, in the text format of Prometheus.

The counts begin anew when the server does, which `rate()` knows how to read.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import falcon
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from serve.counting import ANSWERS, N_BUCKETS, OUTCOMES, SUM, Counts
from serve.resources.status import age_seconds

if TYPE_CHECKING:
    from serve.worker.app import MarqueeApp

_SHOWN: Final = range(10, 31)  # 1 µs to 1 s, each twice the one before
_SUPERVISED: Final = {
    "respawns": "Workers that took the place of one that died or hung.",
    "swaps": "Snapshots that were verified and then served.",
    "refusals": "Snapshots that were refused.",
    "retreats": "Snapshots left again because workers died of them.",
}


class Metrics:
    """What Prometheus scrapes."""

    def __init__(self, app: "MarqueeApp") -> None:
        self._app = app
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._registry)

    on_head = on_get

    def describe(self) -> Iterator[Metric]:
        """Name no metrics beforehand: there is nothing to collect yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the shared page."""
        page, served = self._app.page, self._app.served
        counts = page.total_counts()
        yield _requests(counts)
        yield _seconds(counts)
        for what, n in page.supervised().items():
            yield CounterMetricFamily(f"marquee_{what}", _SUPERVISED[what], value=n)
        for name, text, value in (
            ("generation", "Generation served, 0 for none.", served.generation if served else 0),
            (
                "snapshot_age_seconds",
                "Since the snapshot was finished.",
                age_seconds(served) if served else 0,
            ),
            ("takedowns", "Items left out of every answer.", len(self._app.hidden)),
            ("problem", "1 while something is wrong with the store.", int(bool(page.problem))),
        ):
            yield GaugeMetricFamily(f"marquee_{name}", text, value=value)


def _requests(counts: Counts) -> Metric:
    family = CounterMetricFamily(
        "marquee_requests", "Requests answered.", labels=("source", "status")
    )
    for outcome, row in zip(OUTCOMES, counts.rows, strict=True):
        family.add_metric(outcome, row[ANSWERS])
    return family


def _seconds(counts: Counts) -> Metric:
    family = HistogramMetricFamily(
        "marquee_request_seconds",
        "Time in the application, without the network; of every 16th list that is one lookup.",
        labels=("source", "status"),
    )
    for outcome, row in zip(OUTCOMES, counts.rows, strict=True):
        if any(row):
            buckets = [(f"{(1 << b) / 1e9:g}", float(sum(row[: b + 1]))) for b in _SHOWN]
            buckets.append(("+Inf", float(sum(row[:N_BUCKETS]))))
            family.add_metric(outcome, buckets, sum_value=row[SUM] / 1e9)
    return family
