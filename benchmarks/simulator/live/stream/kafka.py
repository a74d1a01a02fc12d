"""A stream to Apache Kafka in the form of the service: one topic, no keys, a message a line."""

import re
import sys
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.stream.dropped_lines import DroppedLines

BUFFER_LINES: Final = 500_000
_BUFFER_KIB: Final = 1 << 20
_CLOSE_SECONDS: Final = 15.0
_LINGER_MS: Final = 50  # time to collect lines for a batch
_MAX_RETRY_MS: Final = 500  # between two attempts to reach a broker
# A silent broker is sent the same batch again after this time. Real brokers drop the duplicate,
# the local one does not; this is the maximum of the setting.
_SILENCE_MS: Final = 300_000
_PARTITION: Final = 0  # a single partition keeps the order of time
_ADDRESSES: Final = re.compile(r"[^\s,:]+:\d+(,[^\s,:]+:\d+)*|(\[[\da-f:]+\]:\d+,?)+")
_REMEDY: Final = "check that the brokers run, or use a larger buffer"


class KafkaStream:
    """Writes lines to the topic `movielog<TEAM>`.

    A broker that cannot be reached is retried without end. Every line is delivered
    once and in order; only the local broker may have a few lines twice after a
    silence of more than five minutes.

    Args:
        bootstrap: Addresses of the brokers, `host:port,host:port`.
        team: Suffix of the topic's name.
        buffer_lines: Number of lines that wait while no broker is reachable.
        close_seconds: Time that `close` waits for the last deliveries.

    Raises:
        StreamError: The brokers' addresses are malformed.
    """

    def __init__(
        self,
        bootstrap: str,
        team: str = "1",
        *,
        buffer_lines: int = BUFFER_LINES,
        close_seconds: float = _CLOSE_SECONDS,
    ) -> None:
        self.topic = f"movielog{team}"
        self.bootstrap = bootstrap
        self.n_sent = 0
        self._close_seconds = close_seconds
        self._dropped = DroppedLines()
        self._is_down = False
        if not _ADDRESSES.fullmatch(bootstrap):
            problem = "not a valid list of brokers"
            raise StreamError(repr(bootstrap), problem, "write host:port,host:port")
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "compression.codec": "zstd",
                "linger.ms": _LINGER_MS,
                "queue.buffering.max.messages": buffer_lines,
                "queue.buffering.max.kbytes": _BUFFER_KIB,
                "message.timeout.ms": 0,  # no limit: an outage may last
                "socket.timeout.ms": _SILENCE_MS,
                "reconnect.backoff.max.ms": _MAX_RETRY_MS,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
                "error_cb": self._on_error,
                "log_level": 2,  # critical: other errors are printed by this class
            }
        )

    @property
    def n_dropped(self) -> int:
        """Lines that were dropped because no broker accepted them."""
        return self._dropped.n_lines

    @property
    def n_waiting(self) -> int:
        """Lines that are not delivered yet."""
        self._producer.poll(0)  # processes delivery reports
        return len(self._producer)

    def send(self, lines: Sequence[bytes]) -> None:
        """Pass lines to the producer's own thread; lines beyond its buffer are dropped."""
        self.n_sent += len(lines)
        produce, topic = self._producer.produce, self.topic
        for n_taken, line in enumerate(lines):
            try:
                produce(topic, line, partition=_PARTITION)
            except (BufferError, KafkaException):
                self._dropped.add(lines[n_taken:])
                break
        n_waiting = self.n_waiting
        if self._is_down and not n_waiting:
            self._print("delivery resumed")
            self._is_down = False

    def close(self) -> None:
        """Wait until all lines are delivered, at most `close_seconds`.

        Raises:
            StreamError: Lines were dropped; the message has their number.
        """
        deadline = time.monotonic() + self._close_seconds
        while self._producer.flush(0.1) and time.monotonic() < deadline:
            pass
        if self._producer.flush(0):
            self._producer.purge()
            self._producer.flush(1)  # reports the purged lines
        self._dropped.check(self.topic, _REMEDY)

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._dropped.add([message.value() or b""])

    def _on_error(self, error: KafkaError) -> None:
        code = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001  its public name
        if error.code() == code and not self._is_down:
            self._print("cannot be reached; lines wait")
            self._is_down = True

    def _print(self, state: str) -> None:
        print(f"{self.topic}: {self.bootstrap} {state}", file=sys.stderr, flush=True)
