"""The collector's figures: for Prometheus on a port, and as a file for `status`."""

import json
import os
import time
from collections import Counter as Counts
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.collect.flush import Flushed
from stream.collect.ledger_state import LedgerState
from stream.collect.source import Lag
from stream.metrics_port import serve_metrics

_SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_PLACE: Final = ("log", "partition")


class CollectorMetrics:
    """Counters and gauges of one collector.

    Attributes:
        registry: Registry of all of them.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._began_at = time.time()
        self._lines = Counter(
            "marquee_collect_lines", "Lines taken from the log", ["outcome"], registry=registry
        )
        self._rejected = Counter(
            "marquee_collect_rejected_lines", "Quarantined lines", ["reason"], registry=registry
        )
        self._rows = Counter(
            "marquee_collect_rows", "Rows written by type of event", ["kind"], registry=registry
        )
        self._dropped = Counter(
            "marquee_collect_dropped_answers", "Answers not kept: low disk", registry=registry
        )
        self._flush = Histogram(
            "marquee_collect_flush_seconds", "Time of a flush", buckets=_SECONDS, registry=registry
        )
        self._sync = Histogram(
            "marquee_collect_fsync_seconds", "Time of fsync in a flush", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._failed = Counter(
            "marquee_collect_failed_flushes", "Flushes to be tried again", registry=registry
        )
        self._folded = Counter(
            "marquee_collect_folded_segments", "Segments merged into days", registry=registry
        )
        self._gaps = Gauge("marquee_collect_gaps", "Lost ranges", registry=registry)
        self._lost = Gauge("marquee_collect_lost_positions", "Lost positions", registry=registry)
        self._lag = Gauge(
            "marquee_collect_lag_messages", "Messages not read yet", _PLACE, registry=registry
        )
        self._lag_seconds = Gauge(
            "marquee_collect_lag_seconds", "Age of the last message", _PLACE, registry=registry
        )
        self._newest = Gauge(
            "marquee_collect_newest_message_seconds", "Time of the newest message",
            registry=registry,
        )  # fmt: skip

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus on a port.

        Raises:
            PortError: The port cannot be opened.
        """
        serve_metrics(self.registry, host, port, "stream")

    def flushed(self, flushed: Flushed, reasons: Counts[str], seconds: float) -> None:
        """Count a flush."""
        n_messages = sum(span.messages for span in flushed.spans)
        self._lines.labels("accepted").inc(n_messages - flushed.n_quarantined)
        self._lines.labels("quarantined").inc(flushed.n_quarantined)
        for reason, number in reasons.items():
            self._rejected.labels(reason).inc(number)
        for kind, number in flushed.n_rows.items():
            self._rows.labels(kind).inc(number)
        self._dropped.inc(flushed.n_dropped_answers)
        self._flush.observe(seconds)
        self._sync.observe(flushed.sync_seconds)

    def flush_failed(self) -> None:
        """Count a flush that is tried again."""
        self._failed.inc()

    def folded(self, n_segments: int) -> None:
        """Count segments that were merged into days."""
        self._folded.inc(n_segments)

    def set_state(self, state: LedgerState, lags: Sequence[Lag], newest_at: float) -> None:
        """Set the gauges."""
        self._gaps.set(len(state.gaps))
        self._lost.set(sum(end - first for _, _, first, end in state.gaps))
        self._newest.set(newest_at)
        self._lag.clear()
        self._lag_seconds.clear()
        for lag in lags:
            self._lag.labels(*lag.key).set(lag.n_messages)
            self._lag_seconds.labels(*lag.key).set(lag.seconds)

    def write_status(self, path: Path, **figures: Any) -> None:
        """Replace the file that `python -m stream status` reads."""
        lines = {"accepted": 0, "quarantined": 0}
        for outcome in lines:
            lines[outcome] = int(self._lines.labels(outcome)._value.get())  # noqa: SLF001
        status = {"pid": os.getpid(), "began_at": self._began_at, "at": time.time(), **figures}
        pending = path.with_name(f"{path.name}.pending")
        pending.write_text(json.dumps({**status, "this_run": lines}))
        pending.replace(path)
