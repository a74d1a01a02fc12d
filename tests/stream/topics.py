"""Topics for tests: in-process brokers, or a real one, with a producer and collectors.

librdkafka's in-process brokers keep only the newest 5 MB of a partition: tests send less.
"""

import contextlib
import itertools
import time
from dataclasses import dataclass

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream.collect.command import open_collector
from stream.collect.kafka_settings import consumer_settings
from stream.collect.kafka_source import KafkaSource
from tests.stream.collecting import MAX_LINE_BYTES, batch_settings, stream_settings

WAIT_SECONDS = 20.0
_GROUPS = itertools.count()


@dataclass
class Broker:
    """A broker with a topic for each test."""

    bootstrap: str
    is_real: bool = False

    def make_topic(self, name, n_partitions=1):
        """Make a topic; in-process brokers make it, with four partitions, when it is used."""
        if not self.is_real:
            return
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        topics = admin.create_topics([NewTopic(name, n_partitions, 1)])
        topics[name].result(WAIT_SECONDS)

    def send(self, topic, lines, partition=0):
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})
        for line in lines:
            producer.produce(topic, line, partition=partition)
            producer.poll(0)
        assert producer.flush(WAIT_SECONDS) == 0

    @contextlib.contextmanager
    def collector(self, tmp_path, topic, *, accept_new=False, kafka=None, wait=None, **changes):
        """Open a collector of a topic; it is stepped by hand, and closed without a flush."""
        settings = stream_settings(tmp_path, topic=topic, **changes)
        table = {"bootstrap.servers": self.bootstrap, **(kafka or {})}
        if not self.is_real:  # they keep a member that has left for a minute
            table["group.id"] = f"group-{next(_GROUPS)}"
        with open_collector(settings, batch_settings(tmp_path)) as (collector, _):
            source = KafkaSource(
                topic, consumer_settings(table), collector.ledger, collector, MAX_LINE_BYTES
            )
            source.start(wait or (lambda _seconds: False), accept_new=accept_new)
            collector.sources.append(source)
            try:
                yield collector
            finally:
                source.close()


def collect_until(collector, is_done):
    """Step until something is true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_done():
        assert time.monotonic() < deadline, "not reached in time"
        collector.step()


def n_read(collector):
    """Return the number of messages of the ledger and the buffers."""
    state = collector.ledger.state
    return state.accepted + state.quarantined + collector.n_held
