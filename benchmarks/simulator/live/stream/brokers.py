"""Kafka brokers of our own, for where there are none: librdkafka's, in a process of their own.

They speak the real protocol to any client on this machine, and keep the last 5 MB
of a partition: about 300,000 lines as we compress them, so a consumer must not fall
further behind. A process of their own takes no time from the live loop, and can be
stopped and go on: an outage as others see it, who find their connections silent.

    python -m benchmarks.simulator.live.stream.brokers     runs them until its input ends
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
    """One broker in a process that ends with this one.

    Attributes:
        bootstrap: Its address, as `host:port`.

    Raises:
        StreamError: It does not start.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A group of its own: Ctrl-C is for the live loop, which still delivers lines. Of the
            # same session: if this process is killed, the kernel ends a stopped orphan too.
            process_group=0,
        )
        assert self._process.stdout is not None
        self.bootstrap = self._process.stdout.readline().strip()
        if not self.bootstrap:
            self.close()
            raise StreamError("the simulator's own brokers", "do not start", "see the error above")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def go_down(self) -> None:
        """Answer nobody from now on."""
        self._process.send_signal(signal.SIGSTOP)
        # Until it has really stopped, the kernel would not end it if this process were killed.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def come_back(self) -> None:
        """Go on as if nothing had been."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process; what the brokers hold is gone."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Run brokers until the input ends, which it does when the parent does."""
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 2})
    brokers = producer.list_topics(timeout=_START_SECONDS).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
