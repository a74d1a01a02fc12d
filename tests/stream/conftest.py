"""A broker for the tests of Kafka: a real one where one is named, else librdkafka's own.

And what the tests of fresh lists share: a week of events, the models fitted to it, later events.
"""

import os

import pytest

from benchmarks.simulator.live.stream.brokers import Brokers
from tests.stream.fresh_snapshots import (
    NO_RULES,
    SETTINGS,
    World,
    fit_all,
    made_events,
    made_items,
)
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


@pytest.fixture(scope="session")
def world():
    return World(made_items(), SETTINGS, NO_RULES)


@pytest.fixture(scope="session")
def before():
    """A week of events."""
    return made_events(3, 0, 7)


@pytest.fixture(scope="session")
def after():
    """Two days of events of some users, five of them new, of whom one day is an old one."""
    users = [*range(0, 40, 3), *range(40, 45)]
    return made_events(5, 6, 2, users=users, n_events=150)


@pytest.fixture(scope="session")
def fitted(world, before):
    """Every model and blend that can be served, fitted to the week."""
    return fit_all(world, before)
