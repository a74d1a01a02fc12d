"""A broker for the tests of Kafka: a real one where one is named, else librdkafka's own."""

import os

import pytest

from benchmarks.simulator.live.stream.brokers import Brokers
from tests.stream.topics import Broker


@pytest.fixture(scope="session")
def broker():
    """`STREAM_BROKER=host:port` names a real broker; the in-process one runs beside the tests."""
    if bootstrap := os.environ.get("STREAM_BROKER"):
        yield Broker(bootstrap, is_real=True)
        return
    with Brokers() as brokers:
        yield Broker(brokers.bootstrap)


@pytest.fixture
def real_broker(broker):
    """A broker that keeps everything, has ids of topics, and can delete records."""
    if not broker.is_real:
        pytest.skip("needs a real Kafka broker: .ci/campaigns stream")
    return broker


@pytest.fixture
def topic(request, broker, tmp_path):
    """A topic of this test's own, with two partitions at least."""
    name = f"movielog-{tmp_path.name}-{os.getpid()}"
    broker.make_topic(name, 2)
    return name
