"""Outages of Kafka: lines wait, and are delivered or counted as dropped."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from benchmarks.simulator.live.errors import StreamError
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import read_spec
from benchmarks.simulator.live.faults.stream import FaultyStream
from benchmarks.simulator.live.stream.brokers import Brokers
from benchmarks.simulator.live.stream.kafka import KafkaStream
from benchmarks.simulator.log_formats import LOG_FORMATS
from tests.benchmarks.fault_lines import (
    BATCHES,
    LINES,
    WORLD,
    CollectingStream,
    n_lines,
    run_faults,
)


def test_lines_wait_during_an_outage_and_arrive_in_order_afterwards():
    """All of them; later lines wait for them."""
    faults = FaultSchedule(WORLD, [read_spec("3s kafka for=4s")])
    target = CollectingStream()
    stream = FaultyStream(target, faults, WORLD, LOG_FORMATS["2022"])
    n_delivered = []
    for number, lines in enumerate(BATCHES["2022"]):
        faults.tick(number)
        stream.send(lines)
        n_delivered.append(len(target.lines))
    assert len(set(n_delivered[2:7])) == 1
    assert [n_lines("2022", n) for n in (3, 8)] == [n_delivered[2], n_delivered[7]]
    assert target.lines == LINES["2022"]
    record = faults.all()[0].as_json()
    assert (record["first_line"], record["last_line"]) == (n_delivered[2] + 1, n_lines("2022", 7))


def test_a_long_outage_drops_and_counts_lines_beyond_the_buffer():
    """The oldest are kept; lines before and after the outage are delivered."""
    faults = FaultSchedule(WORLD, [read_spec("3s kafka for=4s")])
    target = CollectingStream()
    stream = FaultyStream(target, faults, WORLD, LOG_FORMATS["2022"], buffer_lines=100)
    for number, lines in enumerate(BATCHES["2022"]):
        faults.tick(number)
        stream.send(lines)
    before, during = (n_lines("2022", n) for n in (3, 7))
    n_dropped = during - before - 100
    assert target.lines == LINES["2022"][: before + 100] + LINES["2022"][during:]
    assert stream.n_dropped == faults.all()[0].as_json()["dropped"] == n_dropped
    with pytest.raises(
        StreamError, match=f"stream with a fault `kafka`: {n_dropped:,} lines dropped"
    ):
        stream.close()
    assert target.is_closed


def test_waiting_lines_are_delivered_when_the_run_ends_in_an_outage():
    """No line is lost by a fault that outlasts the run."""
    assert run_faults("10s kafka for=100s")[0] == LINES["2022"]


def test_after_an_outage_waiting_lines_are_sent_in_portions():
    """So that no `send` takes long; waiting lines precede new ones."""
    faults = FaultSchedule(WORLD, [read_spec("0s kafka for=1s")])
    target = CollectingStream()
    stream = FaultyStream(target, faults, WORLD, LOG_FORMATS["2022"])
    faults.tick(0)
    many = [b"%d" % number for number in range(50_001)]
    stream.send(many[:50_000])
    faults.tick(1)
    stream.send(many[50_000:])
    assert target.lines == many[:20_001]
    stream.send([])
    assert target.lines == many[:40_001]
    stream.send([])
    assert target.lines == many


def test_an_outage_suspends_the_local_broker():
    """A consumer gets no line during the outage, and every line afterwards."""
    with Brokers() as brokers:
        faults = FaultSchedule(WORLD, [read_spec("1s kafka for=1s")])
        inner = KafkaStream(brokers.bootstrap, "down")
        stream = FaultyStream(inner, faults, WORLD, LOG_FORMATS["2022"], broker=brokers)
        stream.send(LINES["2022"][:10])
        while inner.n_waiting:
            pass
        faults.tick(1)
        stream.send(LINES["2022"][10:20])
        consumer = Consumer({"bootstrap.servers": brokers.bootstrap, "group.id": "one"})
        consumer.assign([TopicPartition(inner.topic, 0, 0)])
        assert consumer.consume(20, 0.3) == []
        faults.tick(2)
        stream.send(LINES["2022"][20:30])
        stream.close()
        got: list[bytes | None] = []
        while len(got) < 30:
            got += [message.value() for message in consumer.consume(30, 0.1)]
        consumer.close()
        assert got == LINES["2022"][:30]


def test_a_run_that_ends_in_an_outage_of_the_local_broker_loses_no_line():
    """The broker resumes for the last lines."""
    with Brokers() as brokers:
        faults = FaultSchedule(WORLD, [read_spec("0s kafka for=9s")])
        inner = KafkaStream(brokers.bootstrap, "end")
        stream = FaultyStream(inner, faults, WORLD, LOG_FORMATS["2022"], broker=brokers)
        faults.tick(0)
        stream.send(LINES["2022"][:10])
        stream.close()
        assert inner.n_waiting == 0
