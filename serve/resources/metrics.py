"""`/metrics`: the sum of all workers, in the text format of Prometheus.

The counts restart with the server, which Prometheus' `rate()` allows for.
"""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import falcon
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from serve.counting import ANSWER_KINDS, ANSWERS, ARM_SOURCES, N_BUCKETS, SUM, Counts, Row
from serve.resources.status import age_seconds
from serve.worker.state import WorkerState
from store.experiment import Experiment

_MAX_AGE_SECONDS: Final = 1.0  # of the text, which takes as long as thousands of lookups
_SHOWN_BUCKETS: Final = range(10, 31)  # 1 µs to 1 s, each twice the one before
_SUPERVISOR_COUNTS: Final = {
    "respawns": "Workers started in place of one that died or hung.",
    "swaps": "Snapshots verified and served.",
    "refusals": "Snapshots refused by verification.",
    "retreats": "Fallbacks to the previously served snapshot.",
}


class Metrics:
    """The endpoint that Prometheus scrapes."""

    def __init__(self, state: WorkerState, max_age_seconds: float = _MAX_AGE_SECONDS) -> None:
        """Register the metrics.

        Args:
            state: State of the worker.
            max_age_seconds: Time for which a text is answered again.
        """
        self._state = state
        self._max_age_seconds = max_age_seconds
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._text = b""
        self._made_at = -math.inf

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = self.text()

    on_head = on_get

    def text(self) -> bytes:
        """Return the metrics as they were within the last second."""
        if time.monotonic() - self._made_at >= self._max_age_seconds:
            self._text, self._made_at = generate_latest(self._registry), time.monotonic()
        return self._text

    def describe(self) -> Iterator[Metric]:
        """Name no metrics at registration, when no counts exist yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the scoreboard."""
        scoreboard, served = self._state.scoreboard, self._state.served
        experiment = served.experiment if served else None
        counts = scoreboard.total_counts(experiment.identity if experiment else 0)
        yield _requests(counts)
        yield _seconds(counts)
        if experiment:
            yield from _arms(counts, experiment)
        for event, n in scoreboard.supervisor_counts().items():
            yield CounterMetricFamily(f"marquee_{event}", _SUPERVISOR_COUNTS[event], value=n)
        for name, text, value in (
            ("generation", "Generation served, 0 for none.", served.generation if served else 0),
            (
                "snapshot_age_seconds",
                "Age of the served snapshot.",
                age_seconds(served) if served else 0,
            ),
            ("takedowns", "Items taken down.", len(self._state.hidden)),
            ("problem", "1 while the store has a problem.", int(bool(scoreboard.problem))),
        ):
            yield GaugeMetricFamily(f"marquee_{name}", text, value=value)
        if served:
            yield from _disk(served.snapshot.folder)


def _disk(snapshot: Path) -> Iterator[Metric]:
    """Yield the sizes on the store's disk; none if the snapshot's directory is gone."""
    try:
        with os.scandir(snapshot) as entries:
            n_bytes = sum(entry.stat().st_size for entry in entries)
        disk = os.statvfs(snapshot)
    except OSError:
        return
    yield GaugeMetricFamily("marquee_snapshot_bytes", "Size of the served snapshot.", n_bytes)
    n_free = disk.f_bavail * disk.f_frsize
    yield GaugeMetricFamily("marquee_disk_free_bytes", "Free space of the store's disk.", n_free)


def _requests(counts: Counts) -> Metric:
    family = CounterMetricFamily(
        "marquee_requests", "Requests answered.", labels=("source", "status")
    )
    for kind, row in zip(ANSWER_KINDS, counts.rows, strict=True):
        family.add_metric(kind, row[ANSWERS])
    return family


def _seconds(counts: Counts) -> Metric:
    family = HistogramMetricFamily(
        "marquee_request_seconds",
        "Time in the application, without the network; lists are sampled, one of 16.",
        labels=("source", "status"),
    )
    for kind, row in zip(ANSWER_KINDS, counts.rows, strict=True):
        if any(row):
            family.add_metric(kind, _buckets(row), sum_value=row[SUM] / 1e9)
    return family


def _arms(counts: Counts, experiment: Experiment) -> Iterator[Metric]:
    labels = ("experiment", "arm", "source")
    requests = CounterMetricFamily(
        "marquee_arm_requests", "Requests of users answered, by arm.", labels=labels
    )
    seconds = HistogramMetricFamily(
        "marquee_arm_request_seconds", "The same time, by arm.", labels=labels
    )
    for arm, rows in zip(experiment.arms, counts.arms, strict=False):  # room for more arms
        for source, row in zip(ARM_SOURCES, rows, strict=True):
            named = (experiment.name, arm.name, source)
            requests.add_metric(named, row[ANSWERS])
            if any(row):
                seconds.add_metric(named, _buckets(row), sum_value=row[SUM] / 1e9)
    yield requests
    yield seconds


def _buckets(row: Row) -> list[tuple[str, float]]:
    buckets = [(f"{(1 << b) / 1e9:g}", float(sum(row[: b + 1]))) for b in _SHOWN_BUCKETS]
    return [*buckets, ("+Inf", float(sum(row[:N_BUCKETS])))]
