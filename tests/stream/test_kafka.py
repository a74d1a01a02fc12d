"""Kafka: each position once, through restarts, rebalances, outages, and topics made again."""

import os
import signal
import threading
import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from batch.events.day_files import write_rows
from benchmarks.simulator.live.stream.brokers import Brokers
from stream.collect import flush, kafka_log
from stream.errors import NewLogError
from tests.stream.collecting import (
    all_rows,
    bulk_rows,
    check_nothing_lost,
    ledger_state,
    made_lines,
    opened,
    quarantined,
)
from tests.stream.collector_process import CollectorProcess
from tests.stream.topics import WAIT_SECONDS, Broker, collect_until, n_read

EAGER = {"partition.assignment.strategy": "range"}


def collect(broker, tmp_path, topic, n_messages, **options):
    """Collect until so many messages are read and flushed in all."""
    with broker.collector(tmp_path, topic, **options) as collector:
        collect_until(collector, lambda: n_read(collector) >= n_messages)
        collector.flush()


def test_messages_of_two_partitions_are_each_taken_once(broker, topic, tmp_path):
    """One that ends without a flush is followed by one that reads on at the ledger's end."""
    lines = made_lines(400, n_broken=10)
    broker.send(topic, lines[:150], 0)
    broker.send(topic, lines[150:300], 1)
    with broker.collector(tmp_path, topic) as collector:
        collect_until(collector, lambda: n_read(collector) >= 200)
        collector.flush()
        collect_until(collector, lambda: n_read(collector) >= 300)
        for key in [*collector._buffers]:
            collector.drop([key])
    broker.send(topic, lines[300:], 1)
    collect(broker, tmp_path, topic, 400)
    check_nothing_lost(tmp_path, lines)


def test_the_committed_offset_is_not_believed(broker, topic, tmp_path):
    """A commit beyond what was flushed would lose the lines between."""
    lines = made_lines(200)
    broker.send(topic, lines)
    collect(broker, tmp_path, topic, 200)
    commit(broker, topic, 200)
    more = made_lines(100, seed=8)
    broker.send(topic, more)
    commit(broker, topic, 300)
    collect(broker, tmp_path, topic, 300)
    check_nothing_lost(tmp_path, lines + more)


def commit(broker, topic, offset):
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "marquee"})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def test_messages_that_are_no_lines_are_quarantined_with_their_offset(broker, topic, tmp_path):
    """Tombstones, blank, NUL, invalid UTF-8, a line break inside, and one that is too long."""
    odd = [None, b"", b"\0", b"\xff\xfe", b"a\nb", b"x" * 600_000, b" \r\n"]
    line = made_lines(1)[0]
    broker.send(topic, [*odd, line, line + b"\n", line + b"\r\n"])
    collect(broker, tmp_path, topic, 10)
    state = ledger_state(tmp_path)
    assert (state.accepted, state.quarantined) == (3, 7)
    found = {int(number): (reason, len(text)) for reason, _, number, text in quarantined(tmp_path)}
    assert sorted(found) == [*range(7)]
    assert found[0][0] == b"message without a value"
    assert found[4][0] == b"line break inside the message"
    assert found[5][0] == b"line is too long"
    assert found[5][1] < 2000
    assert {source for _, source, _, _ in quarantined(tmp_path)} == {f"kafka:{topic}#1[0]".encode()}


def test_many_bad_lines_in_a_row_are_quarantined(broker, topic, tmp_path):
    lines = [*made_lines(10), *[b"broken"] * 20_000]
    broker.send(topic, lines)
    collect(broker, tmp_path, topic, len(lines))
    check_nothing_lost(tmp_path, lines)


@pytest.mark.parametrize("kafka", [{}, EAGER], ids=["cooperative", "eager"])
def test_a_rebalance_loses_nothing(real_broker, topic, tmp_path, kafka):
    """A second member comes, takes partitions and goes: the first takes them up where it was."""
    lines = made_lines(400)
    real_broker.send(topic, lines[:100], 0)
    real_broker.send(topic, lines[100:200], 1)
    with real_broker.collector(tmp_path, topic, kafka=kafka) as collector:
        collect_until(collector, lambda: n_read(collector) >= 150)
        source = collector.sources[0]
        n_assigned = len(source._assigned)
        other = Consumer(
            {"bootstrap.servers": real_broker.bootstrap, "group.id": "marquee", **kafka}
            | ({} if kafka else {"partition.assignment.strategy": "cooperative-sticky"})
        )
        other.subscribe([topic])
        collect_until(collector, lambda: other.poll(0.1) or len(other.assignment()) > 0)
        collect_until(collector, lambda: 0 < len(source._assigned) < n_assigned)
        other.close()
        real_broker.send(topic, lines[200:300], 0)
        real_broker.send(topic, lines[300:], 1)
        collect_until(collector, lambda: n_read(collector) >= 400)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


def spying(drop, dropped):
    def dropping(keys):
        dropped.extend(keys)
        drop(keys)

    return dropping


def test_lost_partitions_are_dropped_and_read_again(real_broker, topic, tmp_path, monkeypatch):
    """A collector that did not poll in time is out of the group: it flushes nothing for others."""
    lines = made_lines(200)
    kafka = {"max.poll.interval.ms": "6000", "session.timeout.ms": "6000"}
    real_broker.send(topic, lines)
    with real_broker.collector(tmp_path, topic, kafka=kafka) as collector:
        collect_until(collector, lambda: n_read(collector) >= 200)
        threading.Event().wait(8.0)  # as long as a flush that is too long
        dropped: list = []
        monkeypatch.setattr(collector, "drop", spying(collector.drop, dropped))
        collect_until(collector, lambda: len(dropped) > 0)
        assert ledger_state(tmp_path).next == {}
        collect_until(collector, lambda: n_read(collector) >= 200)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


def test_a_flush_longer_than_the_poll_interval(real_broker, topic, tmp_path, monkeypatch):
    """Its partitions are lost meanwhile; what it wrote is durable, and is not read again."""
    lines = made_lines(300)
    kafka = {"max.poll.interval.ms": "6000", "session.timeout.ms": "6000"}
    real_broker.send(topic, lines[:200])
    with real_broker.collector(tmp_path, topic, kafka=kafka) as collector:
        collect_until(collector, lambda: n_read(collector) >= 200)
        slow_down(monkeypatch, lambda: threading.Event().wait(8.0))
        collector.flush()
        assert ledger_state(tmp_path).accepted == 200
        dropped: list = []
        monkeypatch.setattr(collector, "drop", spying(collector.drop, dropped))
        collect_until(collector, lambda: len(dropped) > 0)
        real_broker.send(topic, lines[200:])
        collect_until(collector, lambda: n_read(collector) >= 300)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


@pytest.mark.parametrize("kafka", [{}, EAGER], ids=["cooperative", "eager"])
def test_a_rebalance_during_a_flush_loses_nothing(real_broker, topic, tmp_path, monkeypatch, kafka):
    """Another member joins while the segment is written; the partitions go when it is durable."""
    lines = made_lines(400)
    for partition in (0, 1):
        real_broker.send(topic, lines[100 * partition : 100 * (partition + 1)], partition)
    with real_broker.collector(tmp_path, topic, kafka=kafka) as collector:
        collect_until(collector, lambda: n_read(collector) >= 200)
        source = collector.sources[0]
        n_assigned = len(source._assigned)
        strategy = {"partition.assignment.strategy": "cooperative-sticky", **kafka}
        brokers = {"bootstrap.servers": real_broker.bootstrap, "group.id": "marquee"}
        other = Consumer({**brokers, **strategy, "heartbeat.interval.ms": 500})
        other.subscribe([topic])
        slow_down(monkeypatch, lambda: other.poll(4.0))  # longer than a heartbeat: it rejoins
        collector.flush()
        assert (ledger_state(tmp_path).accepted, len(source._assigned)) == (200, n_assigned)
        collect_until(collector, lambda: other.poll(0.1) or 0 < len(source._assigned) < n_assigned)
        for partition in (0, 1):
            real_broker.send(topic, lines[100 * partition + 200 :][:100], partition)
        other.close()
        collect_until(collector, lambda: n_read(collector) >= 400)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


def slow_down(monkeypatch, wait):
    """Let the next segment wait before it is written."""

    def slow(*args):
        monkeypatch.setattr(flush, "write_rows", write_rows)
        wait()
        return write_rows(*args)

    monkeypatch.setattr(flush, "write_rows", slow)


def test_a_process_that_was_stopped_goes_on(broker, topic, tmp_path):
    """SIGSTOP until the group has given its partitions to another member, then SIGCONT."""
    lines = made_lines(400)
    broker.send(topic, lines[:200])
    # The real one takes no shorter time-out than 6 s.
    session: dict = {"session.timeout.ms": 6000 if broker.is_real else 1500}
    group = {"group.id": f"stopped-{topic}", "heartbeat.interval.ms": 300}
    kafka = {**session, **group, "max.poll.interval.ms": 6000}
    collector = CollectorProcess(tmp_path, broker.bootstrap, topic, kafka=kafka)
    try:
        collector.wait_for(200)
        collector.send(signal.SIGSTOP)
        other = Consumer({**collector.kafka, "partition.assignment.strategy": "cooperative-sticky"})
        other.subscribe([topic])
        deadline = time.monotonic() + WAIT_SECONDS
        while not other.assignment() and time.monotonic() < deadline:
            other.poll(0.1)
        assert other.assignment()
        broker.send(topic, lines[200:])
        other.close()
        collector.send(signal.SIGCONT)
        collector.wait_for(400)
        assert collector.end(signal.SIGTERM) == 0
    finally:
        collector.process.kill()
        collector.process.wait()
    check_nothing_lost(tmp_path, lines)


def test_a_position_above_the_end_is_refused_until_it_is_accepted(broker, topic, tmp_path):
    """The log was cut short: the ledger has positions that it does not."""
    lines = made_lines(100)
    broker.send(topic, lines)
    collect(broker, tmp_path, topic, 100)
    with opened(tmp_path) as (collector, _):
        where = {"log": f"kafka:{topic}#1", "partition": "0"}
        collector.ledger.append({"kind": "reset", **where, "next": 1000})
    with (
        broker.collector(tmp_path, topic) as collector,
        pytest.raises(NewLogError, match=r"cut short.*--accept-new-log"),
    ):
        collect_until(collector, lambda: False)
    more = made_lines(50, seed=8)
    with broker.collector(tmp_path, topic, accept_new=True) as collector:
        collect_until(collector, lambda: len(collector.sources[0]._assigned) > 0)
        broker.send(topic, more)
        collect_until(collector, lambda: n_read(collector) >= 150)
        collector.flush()
    check_nothing_lost(tmp_path, lines + more)


def test_another_cluster_is_refused_until_it_is_accepted(broker, topic, tmp_path):
    lines = made_lines(100)
    broker.send(topic, lines)
    collect(broker, tmp_path, topic, 100)
    with opened(tmp_path) as (collector, _):
        other = {"log": f"kafka:{topic}#1", "cluster": "other", "topic_id": ""}
        collector.ledger.append({"kind": "log", **other})
    with (
        pytest.raises(NewLogError, match="not the log that was read before"),
        broker.collector(tmp_path, topic),
    ):
        pass
    collect(broker, tmp_path, topic, 200, accept_new=True)
    state = ledger_state(tmp_path)
    assert state.next == {f"kafka:{topic}#1 0": 100, f"kafka:{topic}#2 0": 100}
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]


def test_lines_that_are_sent_again_change_no_row(broker, topic, tmp_path):
    """New offsets, the same content: folded away."""
    lines = made_lines(100)
    broker.send(topic, lines + lines)
    collect(broker, tmp_path, topic, 200)
    assert ledger_state(tmp_path).accepted == 200
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]


@pytest.fixture
def short_timeouts(monkeypatch):
    """Brokers that are silent are given up sooner."""
    monkeypatch.setattr(kafka_log, "_TIMEOUT_SECONDS", 0.5)


def test_an_outage_and_a_failed_commit_lose_nothing(tmp_path, short_timeouts):
    """The brokers are silent while lines are flushed and committed: the file is durable."""
    lines = made_lines(200)
    with Brokers() as brokers:
        broker = Broker(brokers.bootstrap)
        broker.send("outage", lines[:100])
        with broker.collector(tmp_path, "outage") as collector:
            collect_until(collector, lambda: n_read(collector) >= 100)
            brokers.suspend()
            collector.flush()
            assert ledger_state(tmp_path).accepted == 100
            collector.step()
            brokers.resume()
            broker.send("outage", lines[100:])
            collect_until(collector, lambda: n_read(collector) >= 200)
            collector.flush()
    check_nothing_lost(tmp_path, lines)


def test_brokers_that_are_gone_at_the_start_are_waited_for(tmp_path, short_timeouts):
    lines = made_lines(50)
    with Brokers() as brokers:
        broker = Broker(brokers.bootstrap)
        broker.send("late", lines)
        brokers.suspend()
        waited = []

        def wait(seconds):
            waited.append(seconds)
            brokers.resume()
            return False

        with broker.collector(tmp_path, "late", wait=wait) as collector:
            collect_until(collector, lambda: n_read(collector) >= 50)
            collector.flush()
    assert waited
    check_nothing_lost(tmp_path, lines)


def test_a_stop_while_brokers_are_gone_is_obeyed(tmp_path, short_timeouts):
    """The twin: the wait ends, and nothing was read."""
    with Brokers() as brokers:
        broker = Broker(brokers.bootstrap)
        brokers.suspend()
        with broker.collector(tmp_path, "late", wait=lambda _seconds: True) as collector:
            assert n_read(collector) == 0
        brokers.resume()
    assert ledger_state(tmp_path).next == {}


def test_a_gap_is_recorded_and_reading_goes_on(real_broker, topic, tmp_path):
    """Retention removed what was not read: the lost range is known exactly."""
    lines = made_lines(300)
    real_broker.send(topic, lines[:200])
    collect(real_broker, tmp_path, topic, 200)
    real_broker.send(topic, lines[200:])
    admin = AdminClient({"bootstrap.servers": real_broker.bootstrap})
    place = TopicPartition(topic, 0, 250)
    admin.delete_records([place])[place].result(WAIT_SECONDS)
    collect(real_broker, tmp_path, topic, 250)
    state = ledger_state(tmp_path)
    key = f"kafka:{topic}#1 0"
    assert state.gaps == [(f"kafka:{topic}#1", "0", 200, 250)]
    assert state.ranges[key] == ((0, 199), (250, 299))
    rows = bulk_rows(tmp_path, lines[:200] + lines[250:])[0]
    assert all_rows(tmp_path / "events") == rows


@pytest.mark.parametrize("kafka", [{}, EAGER], ids=["cooperative", "eager"])
def test_a_gap_that_opens_while_it_runs_is_recorded(real_broker, topic, tmp_path, kafka):
    """The position falls out of the log between two fetches; what was read before is kept."""
    lines = made_lines(300)
    real_broker.send(topic, lines[:200])
    with real_broker.collector(tmp_path, topic, kafka=kafka) as collector:
        collect_until(collector, lambda: n_read(collector) >= 200)
        collector.sources[0].pause()
        real_broker.send(topic, lines[200:])
        admin = AdminClient({"bootstrap.servers": real_broker.bootstrap})
        place = TopicPartition(topic, 0, 250)
        admin.delete_records([place])[place].result(WAIT_SECONDS)
        collector.step()
        collector.sources[0].resume()
        collect_until(collector, lambda: n_read(collector) >= 250)
        collector.flush()
    state = ledger_state(tmp_path)
    assert state.gaps == [(f"kafka:{topic}#1", "0", 200, 250)]
    assert state.ranges[f"kafka:{topic}#1 0"] == ((0, 199), (250, 299))
    rows = bulk_rows(tmp_path, lines[:200] + lines[250:])[0]
    assert all_rows(tmp_path / "events") == rows


def test_a_topic_made_again_is_refused_until_it_is_accepted(real_broker, topic, tmp_path):
    """Even where the new one is as long as the old: its id is another."""
    lines, more = made_lines(100), made_lines(150, seed=8)
    real_broker.send(topic, lines)
    collect(real_broker, tmp_path, topic, 100)
    admin = AdminClient({"bootstrap.servers": real_broker.bootstrap})
    admin.delete_topics([topic])[topic].result(WAIT_SECONDS)
    threading.Event().wait(1.0)
    real_broker.make_topic(topic, 1)
    real_broker.send(topic, more)
    with (
        pytest.raises(NewLogError, match="not the log that was read before"),
        real_broker.collector(tmp_path, topic),
    ):
        pass
    collect(real_broker, tmp_path, topic, 250, accept_new=True)
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines + more)[0]


def test_a_topic_made_again_while_it_is_read_is_refused(real_broker, topic, tmp_path):
    """What was read since the last flush is of an unknown log: it is not written."""
    real_broker.send(topic, made_lines(100))
    admin = AdminClient({"bootstrap.servers": real_broker.bootstrap})
    with real_broker.collector(tmp_path, topic) as collector:
        collect_until(collector, lambda: n_read(collector) >= 100)
        admin.delete_topics([topic])[topic].result(WAIT_SECONDS)
        threading.Event().wait(1.0)
        real_broker.make_topic(topic, 1)
        with pytest.raises(NewLogError, match="not the log that was read before"):
            collector.flush()
    assert ledger_state(tmp_path).next == {}


def test_partitions_that_are_added_are_read_from_their_beginning(real_broker, tmp_path):
    topic = f"grows-{tmp_path.name}-{os.getpid()}"
    real_broker.make_topic(topic, 1)
    lines = made_lines(400)
    kafka = {"topic.metadata.refresh.interval.ms": "1000"}
    real_broker.send(topic, lines[:100])
    with real_broker.collector(tmp_path, topic, kafka=kafka) as collector:
        collect_until(collector, lambda: n_read(collector) >= 100)
        add_partitions(real_broker, topic, 4)
        for partition in (1, 2, 3):
            part = lines[100 * partition : 100 * (partition + 1)]
            real_broker.send(topic, part, partition)
        collect_until(collector, lambda: n_read(collector) >= 400)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


def add_partitions(broker, topic, n_partitions):
    from confluent_kafka.cimpl import NewPartitions

    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_partitions([NewPartitions(topic, n_partitions)])[topic].result(WAIT_SECONDS)


def test_holes_of_transactions_are_no_loss(real_broker, topic, tmp_path):
    """Markers and aborted messages take positions: contiguity is by position."""
    from confluent_kafka import Producer

    lines = made_lines(90)
    producer = Producer(
        {"bootstrap.servers": real_broker.bootstrap, "transactional.id": tmp_path.name}
    )
    producer.init_transactions(WAIT_SECONDS)
    for number, part in enumerate((lines[:30], made_lines(10, seed=9), lines[30:60], lines[60:])):
        producer.begin_transaction()
        for line in part:
            producer.produce(topic, line, partition=0)
        if number == 1:
            producer.flush()
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    with real_broker.collector(tmp_path, topic) as collector:
        collect_until(collector, lambda: n_read(collector) >= 90)
        collector.flush()
    check_nothing_lost(tmp_path, lines)
