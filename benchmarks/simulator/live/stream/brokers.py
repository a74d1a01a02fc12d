"""A local Kafka broker, for machines without one: librdkafka's mock cluster in its own process.

It speaks the real protocol to any client on this machine and keeps the last 5 MB
of a partition: about 300,000 compressed lines, so a consumer must not fall further
behind. Its own process takes no time from the simulation and can be stopped and
continued: clients see an outage with silent connections.

    python -m benchmarks.simulator.live.stream.brokers     runs it until its input ends
"""

import os
import signal
import subprocess
import sys
from typing import Final, Self

from confluent_kafka import Producer

from benchmarks.simulator.live.errors import StreamError

_START_SECONDS: Final = 20.0


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
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 2})
    brokers = producer.list_topics(timeout=_START_SECONDS).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
