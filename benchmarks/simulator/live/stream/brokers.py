"""A local Kafka broker, for machines without one: librdkafka's mock cluster in its own process.

It speaks the real protocol to any client on this machine and keeps the last 5 MB
of a partition: about 300,000 compressed lines, so a consumer must not fall further
behind. Its own process takes no time from the simulation and can be stopped and
continued: clients see an outage with silent connections.

    python -m benchmarks.simulator.live.stream.brokers     runs it until its input ends
"""

import ctypes
import os
import signal
import subprocess
import sys
from typing import Final, Self

from confluent_kafka import cimpl

from benchmarks.simulator.live.errors import StreamError

_PRODUCER: Final = 0
_BROKER: Final = 1


class Brokers:
    """A local broker in a process that ends with this one.

    Attributes:
        bootstrap: Address of the broker, `host:port`.

    Raises:
        StreamError: The broker does not start.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A process group of its own: Ctrl-C is for the simulation, which still delivers lines.
            # The same session: if this process is killed, the kernel ends a stopped orphan too.
            process_group=0,
        )
        assert self._process.stdout is not None
        self.bootstrap = self._process.stdout.readline().strip()
        if not self.bootstrap:
            self.close()
            raise StreamError("local Kafka broker", "does not start", "see the error above")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def suspend(self) -> None:
        """Stop answering."""
        self._process.send_signal(signal.SIGSTOP)
        # Wait for the stop: earlier, the kernel would not end it if this process were killed.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Continue to answer."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process; the broker's lines are lost."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Run the broker until the input ends, which happens when the parent ends."""
    print(_start(), flush=True)
    sys.stdin.read()


def _start() -> str:
    """Start a broker and return its address.

    librdkafka's own functions for tests, in C: by its setting `test.mock.num.brokers` a group
    would wait 3 s for its first assignment, and nobody would answer for the ids of topics.
    """
    library = ctypes.CDLL(cimpl.__file__)
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(settings, b"log_level", b"2", None, ctypes.c_size_t(0))
    client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, settings, None, ctypes.c_size_t(0)))
    brokers = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, 1))
    library.rd_kafka_mock_set_controller_id(brokers, _BROKER)
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(brokers, 0)
    bootstrap: bytes = library.rd_kafka_mock_cluster_bootstraps(brokers)
    return bootstrap.decode()


if __name__ == "__main__":
    main()
