"""What the collector asks of a source, and what a source asks of the collector."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from stream.collect.ledger_state import Span
from stream.collect.lines import Lines, PartitionKey


class Lag(NamedTuple):
    """How far a source's partition is behind the end of its log.

    Attributes:
        key: Log and partition.
        n_messages: Number of messages that are not read yet; bytes of a file.
        seconds: Age of the last message that was read, while there are others.
    """

    key: PartitionKey
    n_messages: int
    seconds: float


class Source(Protocol):
    """A log that is read."""

    def poll(self, seconds: float, /) -> Sequence[Lines]:
        """Return new lines; wait for the first at most `seconds`.

        Raises:
            StreamError: The log cannot be read on, and waiting does not help.
        """

    def pause(self) -> None:
        """Return no more lines until `resume`, and stay a member of the group."""

    def resume(self) -> None:
        """Return lines again."""

    def check_log(self) -> None:
        """Check, before a flush, that what was read is the log that the ledger names.

        Raises:
            NewLogError: It is another one.
        """

    def flushed(self, spans: Collection[Span], /) -> None:
        """Take note of positions that are on disk."""

    def lags(self) -> list[Lag]:
        """Return how far each partition is behind."""

    def close(self) -> None:
        """Leave the group."""


class Owner(Protocol):
    """The holder of the buffers, for a source whose partitions come and go."""

    def begin(self, key: PartitionKey, next_position: int | None) -> None:
        """Begin a partition with an empty buffer."""

    def flush_partitions(self, keys: Collection[PartitionKey], max_seconds: float) -> None:
        """Flush these partitions and forget them, if that takes no longer than `max_seconds`."""

    def drop(self, keys: Collection[PartitionKey]) -> None:
        """Forget these partitions; what was not flushed is read again by their next owner."""
