"""The collector's loop: lines from the sources into buffers, buffers to disk when they are due.

    source ─► poll ─► buffers ─► flush      when old, long or large enough
                                   │
                 sources paused ◄──┴── no room: tried again, and memory stays flat

Segments are folded, and old days removed, by a thread of its own.
"""

import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence

from store.stop import StopRequest
from stream.collect.buffer import Parser, PartitionBuffer
from stream.collect.flush import Flusher
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import Ledger
from stream.collect.lines import Lines, PartitionKey
from stream.collect.metrics import CollectorMetrics
from stream.collect.quarantine import StreamQuarantine
from stream.collect.retention import disk_pressure
from stream.collect.source import Source
from stream.settings import StreamSettings

_POLL_SECONDS = 0.2
_IDLE_SECONDS = 0.05
_STATUS_SECONDS = 5.0
_RETRY_SECONDS = 5.0
_LARGE_FLUSH_LINES = 10_000
_MIB = 1 << 20

log = logging.getLogger(__name__)


class Collector:
    """Collects lines, and owns the buffers of all partitions.

    Args:
        folder: Paths of the collector.
        ledger: Ledger, open for writing; its last intents have been carried out.
        quarantine: Quarantine of the rejected lines.
        parse: Parser of a block of lines.
        settings: Settings of the stream.

    Attributes:
        metrics: Figures of this collector.
        sources: Logs that are read.
        ledger: Ledger, open for writing.
    """

    def __init__(
        self,
        folder: CollectorFolder,
        ledger: Ledger,
        quarantine: StreamQuarantine,
        parse: Parser,
        settings: StreamSettings,
    ) -> None:
        self.metrics = CollectorMetrics()
        self.sources: list[Source] = []
        self._folder = folder
        self.ledger = ledger
        self._quarantine = quarantine
        self._parse = parse
        self._settings = settings
        self._flush = Flusher(folder, ledger, quarantine)
        self._buffers: dict[PartitionKey, PartitionBuffer] = {}
        self._oldest_at: float | None = None  # when the first unflushed line arrived
        self._retry_at: float | None = None  # when a failed flush is tried again
        self._status_at = 0.0
        self._newest_at = 0.0
        self._flush_seconds = self._seconds_per_line = 0.0  # of the last, and of the last large one

    @property
    def n_held(self) -> int:
        """Number of messages that are not flushed."""
        return sum(buffer.n_messages for buffer in self._buffers.values())

    def run(self, stop: StopRequest) -> None:
        """Collect until a stop is requested; then flush what there is.

        Raises:
            StreamError: It cannot go on; what was flushed is complete.
        """
        try:
            while not stop.wait(0):
                if not self.step():
                    stop.wait(_IDLE_SECONDS)
            self.flush()
        finally:
            for source in self.sources:
                source.close()
        self._write_status(is_running=False)

    def step(self) -> bool:
        """Poll every source once, and flush if it is time; return whether there were lines."""
        n_lines = 0
        for source in self.sources:
            for lines in source.poll(_POLL_SECONDS):
                self._add(lines)
                n_lines += lines.n_messages
        now = time.monotonic()
        if self._retry_at is not None:
            if now >= self._retry_at:
                self._try_flush()
        elif self._is_due(now):
            self._try_flush()
        if now >= self._status_at:
            self._status_at = now + _STATUS_SECONDS
            self._write_status(is_running=True)
        return bool(n_lines)

    def begin(self, key: PartitionKey, next_position: int | None) -> None:
        """Begin a partition with an empty buffer."""
        self._buffers[key] = PartitionBuffer(key, next_position, self._parse)

    def drop(self, keys: Collection[PartitionKey]) -> None:
        """Forget these partitions; what was not flushed is read again by their next owner."""
        for key in keys:
            self._buffers.pop(key, None)

    def flush_partitions(self, keys: Collection[PartitionKey], max_seconds: float) -> None:
        """Flush these partitions and forget them, if that takes no longer than `max_seconds`."""
        buffers = [self._buffers[key] for key in keys if key in self._buffers]
        n_lines = sum(buffer.n_messages for buffer in buffers)
        if self._flush_seconds + n_lines * self._seconds_per_line > max_seconds:
            log.warning("%d lines are left to the next owner: no time to flush them", n_lines)
        else:
            try:
                self._flush_buffers(buffers)
            except OSError as error:
                log.error("%d lines are left to the next owner: %s", n_lines, error)  # noqa: TRY400
        self.drop(keys)

    def flush(self) -> None:
        """Flush everything.

        Raises:
            OSError: There is no room; nothing has changed.
            StreamError: It cannot go on.
        """
        self._flush_buffers([*self._buffers.values()])
        self._oldest_at = None

    def _add(self, lines: Lines) -> None:
        buffer = self._buffers.get(lines.key)
        if buffer is None:
            self.begin(lines.key, self.ledger.state.next_of(lines.key))
            buffer = self._buffers[lines.key]
        buffer.add(lines)
        self._newest_at = max(self._newest_at, lines.newest_at)
        if self._oldest_at is None:
            self._oldest_at = time.monotonic()

    def _is_due(self, now: float) -> bool:
        if self._oldest_at is None:
            return False
        settings, buffers = self._settings, self._buffers.values()
        return (
            now - self._oldest_at >= settings.flush_seconds
            or self.n_held >= settings.flush_lines
            or sum(buffer.n_bytes for buffer in buffers) >= settings.flush_mib * _MIB
        )

    def _try_flush(self) -> None:
        """Flush; without room the sources are paused until it succeeds."""
        try:
            self.flush()
        except OSError as error:
            log.error("events cannot be written, will retry: %s", error)  # noqa: TRY400
            self.metrics.flush_failed()
            if self._retry_at is None:
                for source in self.sources:
                    source.pause()
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            return
        if self._retry_at is not None:
            self._retry_at = None
            for source in self.sources:
                source.resume()

    def _flush_buffers(self, buffers: Sequence[PartitionBuffer]) -> None:
        buffers = [buffer for buffer in buffers if buffer.n_messages]
        if not buffers:
            return
        began = time.monotonic()
        for source in self.sources:
            source.check_log()
        pressure = disk_pressure(self._folder.events, self._settings.min_free_mib)
        if pressure.drops_answers:
            log.warning(
                "less than %g MiB are free: answers are not kept", self._settings.min_free_mib
            )
        self._quarantine.keeps_text = not pressure.drops_text
        flushed = self._flush(buffers, keeps_answers=not pressure.drops_answers)
        reasons = sum((buffer.reasons for buffer in buffers), Counter[str]())
        for buffer in buffers:
            self.begin(buffer.key, buffer.next_position)
        for source in self.sources:
            source.flushed(flushed.spans)
        seconds = time.monotonic() - began
        self._flush_seconds = seconds
        n_lines = sum(span.messages for span in flushed.spans)
        if n_lines >= _LARGE_FLUSH_LINES:
            self._seconds_per_line = seconds / n_lines
        self.metrics.flushed(flushed, reasons, seconds)

    def _write_status(self, *, is_running: bool) -> None:
        state = self.ledger.state
        lags = [lag for source in self.sources for lag in source.lags()]
        self.metrics.set_state(state, lags, self._newest_at)
        try:
            self.metrics.write_status(
                self._folder.status,
                lags=[[*lag.key, lag.n_messages, round(lag.seconds, 1)] for lag in lags],
                newest_message_at=self._newest_at,
                is_running=is_running,
                is_paused=self._retry_at is not None,
                flushed_at=state.flushed_at,
                gaps=state.gaps,
            )
        except OSError as error:
            log.warning("%s: cannot be written: %s", self._folder.status, error.strerror)
