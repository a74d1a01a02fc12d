"""A stream to Apache Kafka as the service writes it: one topic, no keys, a line a message."""

import re
import sys
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.stream.dropped_lines import Losses

BUFFER_LINES: Final = 500_000
_BUFFER_KIB: Final = 1 << 20
_CLOSE_SECONDS: Final = 15.0
_LINGER_MS: Final = 50  # in which lines gather to one batch
_RETRY_MS: Final = 500  # most time between two attempts to reach a broker
# After which a silent broker is sent the same again. Real ones know that they have it already,
# our own do not; this is the most that can be set.
_SILENCE_MS: Final = 300_000
_PARTITION: Final = 0  # one alone keeps the order of time
_ADDRESSES: Final = re.compile(r"[^\s,:]+:\d+(,[^\s,:]+:\d+)*|(\[[\da-f:]+\]:\d+,?)+")
_WAY_OUT: Final = "see that the brokers run, or give a larger buffer"


class KafkaStream:
    """Writes lines to the topic `movielog<TEAM>`.

    A broker that cannot be reached is tried again without end. Every line comes
    once and in order, however often it had to be sent; only our own brokers may
    have a few lines twice after a silence of more than five minutes.

    Args:
        bootstrap: The brokers, as `host:port,host:port`.
        team: The end of the topic's name.
        buffer_lines: That wait while no broker is there.
        close_seconds: That `close` waits for the last deliveries.

    Raises:
        StreamError: The brokers' addresses cannot be read.
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
        self._losses = Losses()
        self._is_down = False
        if not _ADDRESSES.fullmatch(bootstrap):
            raise StreamError(repr(bootstrap), "no brokers' addresses", "give host:port,host:port")
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "compression.codec": "zstd",
                "linger.ms": _LINGER_MS,
                "queue.buffering.max.messages": buffer_lines,
                "queue.buffering.max.kbytes": _BUFFER_KIB,
                "message.timeout.ms": 0,  # none: an outage may last
                "socket.timeout.ms": _SILENCE_MS,
                "reconnect.backoff.max.ms": _RETRY_MS,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
                "error_cb": self._on_error,
                "log_level": 2,  # critical: what concerns the user is said here
            }
        )

    @property
    def n_dropped(self) -> int:
        """Lines that were thrown away because no broker took them."""
        return self._losses.n_lines

    @property
    def n_waiting(self) -> int:
        """Lines on their way."""
        self._producer.poll(0)  # takes note of deliveries
        return len(self._producer)

    def send(self, lines: Sequence[bytes]) -> None:
        """Hand lines to the producer's own thread; what its buffer cannot hold is dropped."""
        self.n_sent += len(lines)
        produce, topic = self._producer.produce, self.topic
        for n_taken, line in enumerate(lines):
            try:
                produce(topic, line, partition=_PARTITION)
            except (BufferError, KafkaException):
                self._losses.add(lines[n_taken:])
                break
        n_waiting = self.n_waiting
        if self._is_down and not n_waiting:
            self._say("takes lines again")
            self._is_down = False

    def close(self) -> None:
        """Wait until all is delivered, for some seconds at most.

        Raises:
            StreamError: Lines were lost; it says how many.
        """
        deadline = time.monotonic() + self._close_seconds
        while self._producer.flush(0.1) and time.monotonic() < deadline:
            pass
        if self._producer.flush(0):
            self._producer.purge()
            self._producer.flush(1)  # hands out what was purged
        self._losses.check(self.topic, _WAY_OUT)

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._losses.add([message.value() or b""])

    def _on_error(self, error: KafkaError) -> None:
        code = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001  its public name
        if error.code() == code and not self._is_down:
            self._say("cannot be reached; lines wait")
            self._is_down = True

    def _say(self, what: str) -> None:
        print(f"{self.topic}: {self.bootstrap} {what}", file=sys.stderr, flush=True)
