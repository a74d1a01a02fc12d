"""A request to stop that a signal handler may set and the loop may wait for.

`threading.Event` is not safe here: a handler that runs while the same thread
is inside `wait` can meet the lock it already holds, and never return. A kernel
event has no lock: once written and never read, it stays set.
"""

import os
import select
import signal
from types import FrameType


class StopRequest:
    """Not requested at first; requested once, it stays so."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC)

    def request(self) -> None:
        """Ask to stop; wakes whoever waits."""
        os.eventfd_write(self._event, 1)

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; return whether stopping has been requested."""
        return bool(select.select([self._event], [], [], seconds)[0])


def stop_on_signals() -> StopRequest:
    """Return a request that SIGTERM and SIGINT set, for the whole process."""
    stop = StopRequest()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.request()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
