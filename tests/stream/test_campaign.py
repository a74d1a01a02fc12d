"""The campaign: real collectors and a real broker, killed, stopped and cut off, for minutes.

`.ci/campaigns stream` runs it; elsewhere it is skipped.
"""

import os
import random
import signal
import time

import pytest
from confluent_kafka import Producer

from benchmarks.harness.kafka_broker import KafkaBroker, find_jars
from benchmarks.simulator.__main__ import main as simulator
from tests.stream.collecting import all_rows, bulk_rows, ledger_state, made_lines
from tests.stream.collector_process import CollectorProcess
from tests.stream.topics import Broker

pytestmark = [
    pytest.mark.skipif(not os.environ.get("STREAM_CAMPAIGN"), reason=".ci/campaigns stream"),
    pytest.mark.timeout(1200),
]
N_KILLS, N_OUTAGES = 20, 5
STOP_SECONDS = 60.0


@pytest.fixture
def server(tmp_path):
    jars = find_jars()
    assert jars, "no jars in var/kafka/libs, or no Java"
    with KafkaBroker(jars, tmp_path / "kafka") as server:
        yield server


def noisy_history(folder):
    """Return the lines of a simulated log, and how many its own list says are rejected."""
    size = ["--users", "2000", "--items", "200", "--days", "3", "--edition", "2026"]
    assert simulator(["history", *size, "--noise", "0.01", "--out", str(folder)]) == 0
    logs = sorted((folder / "events").iterdir())
    lines = [line for log in logs for line in log.read_bytes().split(b"\n")[:-1]]
    _, *rows = (folder / "broken.tsv").read_text().splitlines()
    return lines, sum(row.split("\t")[3] == "rejected" for row in rows)


def test_kills_outages_and_a_replay_beside_noise(server, tmp_path):
    """Accepted = sent less exactly those that the simulator's list says are rejected."""
    lines, n_rejected = noisy_history(tmp_path / "history")
    broker, rng = Broker(server.bootstrap, is_real=True), random.Random(7)
    broker.make_topic("noisy", 3)
    collector = CollectorProcess(tmp_path / "c", server.bootstrap, "noisy")
    producer = Producer({"bootstrap.servers": server.bootstrap, "enable.idempotence": True})
    n_steps = N_KILLS + N_OUTAGES
    outages = set(rng.sample(range(n_steps), N_OUTAGES))
    sent = -(-len(lines) // n_steps)
    for step in range(n_steps):
        for number, line in enumerate(lines[step * sent : (step + 1) * sent]):
            producer.produce("noisy", line, partition=number % 3)
            producer.poll(0)
        assert producer.flush(120) == 0
        time.sleep(rng.uniform(0.3, 1.5))
        if step in outages:
            server.kill()
            time.sleep(rng.uniform(0.5, 3.0))
            server.start()
        else:
            collector.end(signal.SIGKILL)
            collector.start()
    collector.wait_for(len(lines))
    assert collector.end(signal.SIGTERM) == 0
    state, rows = ledger_state(tmp_path / "c"), all_rows(tmp_path / "c" / "events")
    assert (state.accepted, state.quarantined) == (len(lines) - n_rejected, n_rejected)
    assert (state.gaps, [len(ranges) for ranges in state.ranges.values()]) == ([], [1, 1, 1])
    assert rows == bulk_rows(tmp_path, lines)[0]
    replay(tmp_path, collector, lines)
    assert all_rows(tmp_path / "c" / "events") == rows


def replay(tmp_path, collector, lines):
    """Read the whole topic again, into the same partitions, without a ledger."""
    for path in (tmp_path / "c" / "events" / ".collector").glob("LEDGER"):
        path.rename(tmp_path / "old-ledger")
    for path in (tmp_path / "c" / "events").rglob("*.parquet"):
        without_positions(path)
    collector.start()
    collector.wait_for(len(lines))
    assert collector.end(signal.SIGTERM) == 0


def without_positions(path):
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), path)


def test_a_stopped_collector_goes_on(server, tmp_path):
    """SIGSTOP for longer than every time-out of the group: its partitions are lost meanwhile."""
    lines = made_lines(20_000, n_broken=100)
    broker = Broker(server.bootstrap, is_real=True)
    broker.make_topic("stopped", 2)
    broker.send("stopped", lines[:8000])
    collector = CollectorProcess(tmp_path / "c", server.bootstrap, "stopped")
    collector.wait_for(1)
    collector.send(signal.SIGSTOP)
    broker.send("stopped", lines[8000:], 1)
    second = CollectorProcess(tmp_path / "c", server.bootstrap, "stopped")
    assert second.process.wait(60) == 1  # the lock is held
    time.sleep(STOP_SECONDS)
    collector.send(signal.SIGCONT)
    collector.wait_for(len(lines))
    assert collector.end(signal.SIGTERM) == 0
    state = ledger_state(tmp_path / "c")
    assert (state.n_messages, state.gaps) == (len(lines), [])
    assert all_rows(tmp_path / "c" / "events") == bulk_rows(tmp_path, lines)[0]


def test_two_directories_share_a_topic(server, tmp_path):
    """Members come, are killed and go: together the directories have every position."""
    lines = made_lines(30_000)
    broker = Broker(server.bootstrap, is_real=True)
    broker.make_topic("shared", 4)
    one = CollectorProcess(tmp_path / "one", server.bootstrap, "shared")
    two = CollectorProcess(tmp_path / "two", server.bootstrap, "shared")
    for step in range(6):
        for partition in range(4):
            begin = 5000 * step + 1250 * partition
            broker.send("shared", lines[begin : begin + 1250], partition)
        time.sleep(1.0)
        if step % 2:
            two.end(signal.SIGKILL if step == 3 else signal.SIGTERM)
            two.start()
    two.end(signal.SIGTERM)
    deadline = time.monotonic() + 120
    while taken(tmp_path) < len(lines) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert taken(tmp_path) == len(lines)
    one.end(signal.SIGTERM)
    merged: dict = {key: set() for key in all_rows(tmp_path / "one" / "events")}
    for name in ("one", "two"):
        for kind, rows in all_rows(tmp_path / name / "events").items():
            merged[kind] |= {row[:2] for row in rows}
    wanted = {
        kind: {row[:2] for row in rows} for kind, rows in bulk_rows(tmp_path, lines)[0].items()
    }
    assert merged == wanted


def taken(tmp_path):
    """Return the number of positions that either directory has."""
    found = set()
    for name in ("one", "two"):
        for key, ranges in ledger_state(tmp_path / name).ranges.items():
            found |= {(key, n) for first, last in ranges for n in range(first, last + 1)}
    return len(found)


def test_memory_is_flat_far_behind(server, tmp_path, record_property):
    """Two million lines wait in the log: the collector takes them in less than 300 MiB."""
    lines = [line for line in made_lines(100_000) for _ in range(20)]
    broker = Broker(server.bootstrap, is_real=True)
    broker.make_topic("behind", 1)
    producer = Producer({"bootstrap.servers": server.bootstrap, "compression.codec": "zstd"})
    for number, line in enumerate(lines):
        producer.produce("behind", line)
        if number % 50_000 == 0:
            producer.flush()
    producer.flush()
    collector = CollectorProcess(tmp_path / "c", server.bootstrap, "behind", flush_seconds=30.0)
    collector.wait_for(len(lines))
    memory = collector.memory_mib()
    record_property("figures", f"{memory:,.0f} MiB")
    assert collector.end(signal.SIGTERM) == 0
    assert memory < 300
    assert ledger_state(tmp_path / "c").n_messages == len(lines)


def test_a_million_bad_lines_in_a_row_in_flat_memory(server, tmp_path, record_property):
    """Each is quarantined or counted, in less than 300 MiB, and the good ones around them taken."""
    lines = made_lines(1000)
    broker = Broker(server.bootstrap, is_real=True)
    broker.make_topic("bad", 1)
    broker.send("bad", lines[:500])
    for _ in range(10):
        broker.send("bad", [b"2022-11-1 4T12:23:14,199776,GET /data/m/broken/3.mpg"] * 100_000)
    broker.send("bad", lines[500:])
    collector = CollectorProcess(tmp_path / "c", server.bootstrap, "bad", flush_seconds=1.0)
    collector.wait_for(1_001_000)
    memory = collector.memory_mib()
    record_property("figures", f"{memory:,.0f} MiB")
    assert collector.end(signal.SIGTERM) == 0
    state = ledger_state(tmp_path / "c")
    assert (state.accepted, state.quarantined, state.gaps) == (1000, 1_000_000, [])
    assert all_rows(tmp_path / "c" / "events") == bulk_rows(tmp_path, lines)[0]
    assert memory < 300


def hour_of_views(hour, rng):
    """Return an hour of 18,000 users who each watch one film, 300 lines a second."""
    views = [
        f",{rng.randrange(1_000_000)},GET /data/m/film+{rng.randrange(27_000)}+1999/"
        for _ in range(18_000)
    ]
    return [
        f"2026-03-01T{hour:02}:{minute:02}:{number // 300:02}{view}{minute}.mpg".encode()
        for minute in range(60)
        for number, view in enumerate(views)
    ]


def test_a_day_of_the_full_stream(server, tmp_path, record_property):
    """26 million lines, far behind: memory, disk and the number of lines."""
    Broker(server.bootstrap, is_real=True).make_topic("day", 1)
    producer = Producer(
        {
            "bootstrap.servers": server.bootstrap,
            "compression.codec": "zstd",
            "linger.ms": 50,
            "queue.buffering.max.messages": 2_000_000,
        }
    )
    rng, n_lines = random.Random(7), 0
    for hour in range(24):
        lines = hour_of_views(hour, rng)
        n_lines += len(lines)
        for line in lines:
            producer.produce("day", line)
        assert producer.flush(300) == 0
    collector = CollectorProcess(
        tmp_path / "c", server.bootstrap, "day", flush_seconds=30.0, fold_segments=20
    )
    began = time.monotonic()
    collector.wait_for(n_lines, 900.0)
    rate, memory = n_lines / (time.monotonic() - began), collector.memory_mib()
    assert collector.end(signal.SIGTERM) == 0
    sizes = [path.stat().st_size for path in (tmp_path / "c").rglob("*") if path.is_file()]
    figures = f"{rate:,.0f} lines/s, {memory:,.0f} MiB, {sum(sizes) / 2**20:,.0f} MiB on disk"
    record_property("figures", figures)
    assert memory < 300
    assert sum(sizes) < 2 << 30
    state = ledger_state(tmp_path / "c")
    assert (state.accepted, state.quarantined, state.gaps) == (n_lines, 0, [])
