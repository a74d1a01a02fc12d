"""A request to stop, set by a signal handler and waited for by the loop.

`threading.Event` is not safe here: a handler that runs while the same thread
is inside `wait` can block on the lock that the thread holds, and never return.
A kernel event has no lock: once written and never read, it stays set.
"""

import os
import select
import signal
from types import FrameType


class StopRequest:
    """A flag that is clear at first and stays set once it is requested."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC)

    def request(self) -> None:
        """Request the stop; every `wait` returns."""
        os.eventfd_write(self._event, 1)

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; return whether stopping has been requested."""
        return bool(select.select([self._event], [], [], seconds)[0])


def stop_on_signals() -> StopRequest:
    """Return a request that SIGTERM and SIGINT set in this process."""
    stop = StopRequest()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.request()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
