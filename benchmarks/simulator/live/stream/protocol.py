"""The event stream as its writer sees it."""

from collections.abc import Sequence
from typing import Protocol


class Stream(Protocol):
    """Where the lines of events go.

    Attributes:
        n_sent: Lines taken so far.
    """

    n_sent: int

    @property
    def n_dropped(self) -> int:
        """Lines thrown away because the far side was down for longer than the buffer lasts."""

    def send(self, lines: Sequence[bytes]) -> None:
        """Take lines without their ends, in order of time, and return at once.

        A far side that is down raises nothing: lines wait in a bounded buffer
        and are delivered when it comes back; what does not fit is dropped and
        counted.
        """

    def close(self) -> None:
        """Deliver what still waits.

        Raises:
            StreamError: Lines were lost; it says how many.
        """
