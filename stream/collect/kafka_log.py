"""Which log it is: the identity of the cluster and the topic, and its name in the ledger.

    kafka:movielog1#1      the first log of that topic; #2 after it was made again and accepted

Offsets mean nothing in another log: of a topic that was deleted and made again they begin at
0, and would all be taken for lines that were read already.

It asks through clients of its own: librdkafka's Python binding aborts when a callback of a
consumer asks through the same consumer.
"""

import time
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.collect.kafka_settings import KafkaSettings, admin_settings
from stream.collect.ledger import Ledger
from stream.errors import NewLogError

_TIMEOUT_SECONDS = 5.0
_ID_TIMEOUT_SECONDS = 2.0
_ID_PAUSE_SECONDS = 60.0  # after brokers that have no ids of topics, or are busy


class LogIdentity(NamedTuple):
    """Identity of a topic; empty where the brokers do not say.

    Attributes:
        cluster: Id of the cluster.
        topic_id: Id of the topic.
    """

    cluster: str
    topic_id: str

    def differs_from(self, other: "LogIdentity") -> bool:
        """Return whether a part that is known of both is not the same."""
        return any(a and b and a != b for a, b in zip(self, other, strict=True))

    def __str__(self) -> str:
        return f"cluster {self.cluster or 'unknown'}, topic id {self.topic_id or 'unknown'}"


class KafkaLog:
    """The log of a topic.

    Args:
        topic: Name of the topic.
        settings: Settings of the consumer.
        ledger: Ledger, open for writing.
    """

    def __init__(self, topic: str, settings: KafkaSettings, ledger: Ledger) -> None:
        self._topic = topic
        self._consumer = Consumer({**settings, "log_level": 3})  # never joins the group
        self._admin = AdminClient(admin_settings(settings))
        self._ledger = ledger
        self._ask_at = 0.0
        prefix = f"kafka:{topic}#"
        known = [log for log in ledger.state.identities if log.startswith(prefix)]
        self._number = max((int(log.removeprefix(prefix)) for log in known), default=0)

    @property
    def name(self) -> str:
        """Name in the ledger."""
        return f"kafka:{self._topic}#{self._number}"

    def check(self, *, accept_new: bool = False) -> bool:
        """Compare the brokers' topic with the ledger's; return whether the topic exists.

        Args:
            accept_new: Whether another log is accepted, under a new name.

        Raises:
            KafkaException: No broker answers.
            NewLogError: It is another log.
        """
        identity = self._identity()
        if identity is None:
            return False
        known = LogIdentity(*self._ledger.state.identities.get(self.name, ("", "")))
        if identity.differs_from(known):
            if not accept_new:
                problem = f"is not the log that was read before: {identity}, not {known}"
                raise NewLogError(f"topic {self._topic}", problem)
            self._number += 1
            known = LogIdentity("", "")
        self._number = max(self._number, 1)
        learned = LogIdentity(*(new or old for new, old in zip(identity, known, strict=True)))
        if self._ledger.state.identities.get(self.name) != tuple(learned):
            self._ledger.append({"kind": "log", "log": self.name, **learned._asdict()})
        return True

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first position of a partition, and the one after its last.

        Raises:
            KafkaException: No broker answers.
        """
        place = TopicPartition(self._topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_SECONDS)
        return low, high

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _identity(self) -> LogIdentity | None:
        cluster = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS)
        if cluster.topics[self._topic].error is not None:
            return None
        return LogIdentity(cluster.cluster_id or "", self._topic_id())

    def _topic_id(self) -> str:
        if time.monotonic() < self._ask_at:
            return ""
        asked = self._admin.describe_topics(
            TopicCollection([self._topic]), request_timeout=_ID_TIMEOUT_SECONDS
        )
        try:
            return str(asked[self._topic].result().topic_id)
        except KafkaException:
            self._ask_at = time.monotonic() + _ID_PAUSE_SECONDS
            return ""
