"""A Kafka topic as a log: consumed in batches, positioned by the ledger alone.

    assigned    seek to the ledger's end; the group's committed offset is not asked for
    revoked     these partitions are flushed, within a third of max.poll.interval.ms
    lost        these partitions are dropped: somebody else reads them
    flushed     committed, asynchronously, as a hint for people and other tools

A position below the log's start is a gap, which is recorded; one above its end means that
the log is another one, or was cut short.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream.collect.kafka_log import KafkaLog
from stream.collect.kafka_settings import (
    KafkaSettings,
    is_incremental,
    max_poll_seconds,
)
from stream.collect.ledger import Ledger
from stream.collect.ledger_state import Span
from stream.collect.lines import Lines, PartitionKey, lines_of_messages
from stream.collect.source import Lag, Owner
from stream.errors import NewLogError, SourceError, StreamError

# Fewer than the 700 objects after which Python searches for garbage: with 1,000 of them a
# message takes twice the processor time.
BATCH_MESSAGES: Final = 500
_RETRY_SECONDS: Final = 1.0
_REFUSED: Final = (  # what no waiting changes
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,  # noqa: SLF001  its public name
)

log = logging.getLogger(__name__)


class KafkaSource:
    """Consumes one topic.

    Args:
        topic: Name of the topic.
        settings: Settings of the consumer.
        ledger: Ledger, open for writing.
        owner: Holder of the buffers.
        max_line_bytes: Length of the longest line.

    Attributes:
        n_commit_errors: Number of commits that failed; the next one replaces it.

    Raises:
        SourceError: librdkafka does not accept a setting.
    """

    def __init__(
        self,
        topic: str,
        settings: KafkaSettings,
        ledger: Ledger,
        owner: Owner,
        max_line_bytes: int,
    ) -> None:
        self.n_commit_errors = 0
        self._topic = topic
        self._ledger = ledger
        self._owner = owner
        self._max_line_bytes = max_line_bytes
        self._is_incremental = is_incremental(settings)
        self._flush_seconds = max_poll_seconds(settings) / 3
        self._assigned: dict[int, PartitionKey] = {}
        self._read_at: dict[PartitionKey, tuple[int, float]] = {}
        self._is_paused = False
        self._errors: list[Message] = []
        self._failure: StreamError | None = None
        self._is_accepting = False
        try:
            self._consumer = Consumer(
                {**settings, "on_commit": self._on_commit, "error_cb": self._on_error}
            )
            self._log = KafkaLog(topic, settings, ledger)
        except KafkaException as error:
            problem = f"is not valid: {error.args[0].str()}"
            remedy = "see CONFIGURATION.md of librdkafka"
            raise SourceError("[stream.kafka]", problem, remedy) from error

    def start(self, wait: Callable[[float], bool], *, accept_new: bool) -> None:
        """Wait for the topic, compare it with the ledger, and join the group.

        Args:
            wait: Function that waits some seconds, and returns whether to give up.
            accept_new: Whether another log than the ledger's is accepted.

        Raises:
            NewLogError: The topic is another log.
        """
        self._is_accepting = accept_new
        while not self._exists(accept_new):
            if wait(_RETRY_SECONDS):
                return
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def poll(self, seconds: float) -> Sequence[Lines]:
        """Return new lines; wait for the first at most `seconds`."""
        errors, self._errors = self._errors, []
        for message in errors:
            self._handle(message)
        messages = self._consumer.consume(BATCH_MESSAGES, seconds)
        if self._failure:
            raise self._failure
        if any(map(Message.error, messages)):  # handled when the lines before them are taken
            self._errors = [message for message in messages if message.error() is not None]
            messages = [message for message in messages if message.error() is None]
        return self._lines(messages) if messages else []

    def pause(self) -> None:
        """Return no more lines, and stay a member of the group."""
        self._is_paused = True
        self._consumer.pause(self._partitions())

    def resume(self) -> None:
        """Return lines again."""
        self._is_paused = False
        self._consumer.resume(self._partitions())

    def check_log(self) -> None:
        """Check that the topic was not made again since it was opened.

        Raises:
            NewLogError: It was.
        """
        try:
            self._log.check()
        except KafkaException as error:  # no broker answers: it did not serve another log either
            log.warning("topic %s: cannot be looked up: %s", self._topic, error.args[0].str())

    def flushed(self, spans: Collection[Span]) -> None:
        """Commit the positions behind these, as a hint."""
        ours = [span for span in spans if span.log == self._log.name]
        offsets = [TopicPartition(self._topic, int(s.partition), s.last + 1) for s in ours]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], [])

    def lags(self) -> list[Lag]:
        """Return how far each partition is behind, as the last fetch said."""
        lags = []
        for partition, key in self._assigned.items():
            place = TopicPartition(self._topic, partition)
            _, high = self._consumer.get_watermark_offsets(place, cached=True)
            position, at = self._read_at.get(key, (self._ledger.state.next_of(key) or 0, 0.0))
            n_messages = max(high - position, 0)
            lags.append(Lag(key, n_messages, time.time() - at if n_messages and at else 0.0))
        return lags

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()
        self._log.close()

    def _exists(self, accept_new: bool) -> bool:
        try:
            exists = self._log.check(accept_new=accept_new)
        except KafkaException as error:
            log.warning("topic %s: no broker answers: %s", self._topic, error.args[0].str())
            return False
        if not exists:
            log.warning("topic %s: does not exist yet", self._topic)
        return exists

    def _lines(self, messages: list[Message]) -> list[Lines]:
        partitions = list(map(Message.partition, messages))
        if partitions.count(partitions[0]) == len(partitions):
            found = [(partitions[0], messages)]
        else:
            of_each: dict[int, list[Message]] = {}
            for partition, message in zip(partitions, messages, strict=True):
                of_each.setdefault(int(partition or 0), []).append(message)
            found = [*of_each.items()]
        return [
            self._lines_of(self._assigned[partition], of_partition)
            for partition, of_partition in found
            if partition in self._assigned  # else taken away while these were on their way
        ]

    def _lines_of(self, key: PartitionKey, messages: list[Message]) -> Lines:
        values = list(map(Message.value, messages))
        first, last = (int(message.offset() or 0) for message in (messages[0], messages[-1]))
        if last - first == len(messages) - 1:  # without holes
            offsets = np.arange(first, last + 1)
        else:
            offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
        lines = lines_of_messages(key, values, offsets, self._max_line_bytes)
        newest_at = messages[-1].timestamp()[1] / 1000
        self._read_at[key] = lines.next, newest_at
        return lines._replace(newest_at=newest_at)

    def _handle(self, message: Message) -> None:
        error, partition = message.error(), message.partition()
        if error is None:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET and partition in self._assigned:  # noqa: SLF001
            self._find_again(partition)
        elif error.fatal() or error.code() in _REFUSED:
            problem = f"cannot be read: {error.str()}"
            raise SourceError(f"topic {self._topic}", problem, "check [stream.kafka]")
        else:
            log.warning("topic %s: %s", self._topic, error.str())

    def _find_again(self, partition: int) -> None:
        """Go on behind a gap, after the log's start has passed the position."""
        key = self._assigned[partition]
        self._owner.flush_partitions([key], self._flush_seconds)
        self._log.check()
        position = self._checked_position(partition, self._ledger.state.next_of(key))
        self._owner.begin(key, position)
        self._read_at.pop(key, None)
        self._assign_again(partition)

    def _assign_again(self, partition: int) -> None:
        """Fetch a partition anew; it cannot be moved by a seek once its fetch has failed."""
        if self._is_incremental:
            places = [self._place(partition)]
            self._consumer.incremental_unassign(places)
            self._consumer.incremental_assign(places)
        else:
            self._consumer.assign([self._place(assigned) for assigned in self._assigned])
        if self._is_paused:
            self._consumer.pause(self._partitions())

    def _place(self, partition: int) -> TopicPartition:
        """Return a partition with the position after the last message that was read."""
        key = self._assigned[partition]
        position, _ = self._read_at.get(key, (self._ledger.state.next_of(key), 0.0))
        start = OFFSET_BEGINNING if position is None else position
        return TopicPartition(self._topic, partition, start)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            self.check_log()
            for place in partitions:
                self._begin(place)
        except StreamError as error:  # raised where the loop can stop
            self._failure = error
            partitions = []
        (consumer.incremental_assign if self._is_incremental else consumer.assign)(partitions)
        if self._is_paused:
            consumer.pause(partitions)

    def _begin(self, place: TopicPartition) -> None:
        """Begin a partition at the ledger's end, whatever the group has committed."""
        key = self._log.name, str(place.partition)
        position = self._checked_position(place.partition, self._ledger.state.next_of(key))
        place.offset = OFFSET_BEGINNING if position is None else position
        self._assigned[place.partition] = key
        self._read_at.pop(key, None)
        self._owner.begin(key, position)

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        keys = self._forget(partitions)
        try:
            self._owner.flush_partitions(keys, self._flush_seconds)
        except StreamError as error:
            self._failure = error

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        keys = self._forget(partitions)
        log.warning("topic %s: lost partitions %s", self._topic, ", ".join(k[1] for k in keys))
        self._owner.drop(keys)

    def _forget(self, partitions: list[TopicPartition]) -> list[PartitionKey]:
        keys = [self._assigned.pop(place.partition, None) for place in partitions]
        return [key for key in keys if key is not None]

    def _checked_position(self, partition: int, position: int | None) -> int | None:
        """Return the position to read from; a gap below the log's start is recorded.

        Raises:
            NewLogError: The position lies above the log's end.
        """
        if position is None:
            return None
        try:
            low, high = self._log.bounds(partition)
        except KafkaException:
            return position  # if it is out of range, the fetch will say so
        where = {"log": self._log.name, "partition": str(partition)}
        if position < low:
            log.error("topic %s[%d]: lost range [%d, %d)", self._topic, partition, position, low)
            self._ledger.append({"kind": "gap", **where, "first": position, "end": low})
            return low
        if position > high:
            if not self._is_accepting:
                problem = f"ends at {high}, but was read up to {position}: it was cut short"
                raise NewLogError(f"topic {self._topic}[{partition}]", problem)
            self._ledger.append({"kind": "reset", **where, "next": high})
            return high
        return position

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in self._assigned]

    def _on_commit(self, error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
        if error is not None and error.code() != KafkaError._NO_OFFSET:  # noqa: SLF001
            self.n_commit_errors += 1
            log.warning("topic %s: commit failed: %s", self._topic, error.str())

    def _on_error(self, error: KafkaError) -> None:
        log.warning("topic %s: %s", self._topic, error.str())
        if error.code() in _REFUSED:
            problem = f"cannot be read: {error.str()}"
            self._failure = SourceError(f"topic {self._topic}", problem, "check [stream.kafka]")
