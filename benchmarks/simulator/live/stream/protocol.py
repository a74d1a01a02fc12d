"""The interface of an event stream for its writer."""

from collections.abc import Sequence
from typing import Protocol


class Stream(Protocol):
    """Destination of the lines of events.

    Attributes:
        n_sent: Number of lines accepted so far.
    """

    n_sent: int

    @property
    def n_dropped(self) -> int:
        """Lines dropped because the destination was down and the buffer full."""

    def send(self, lines: Sequence[bytes]) -> None:
        """Accept lines without their ends, in order of time, and return at once.

        A destination that is down raises nothing: lines wait in a bounded buffer
        and are delivered when it is up again; lines beyond the buffer are dropped
        and counted.
        """

    def close(self) -> None:
        """Deliver the lines that still wait.

        Raises:
            StreamError: Lines were dropped; the message has their number.
        """
