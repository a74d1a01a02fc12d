"""The collector's rate from Kafka, durable, beside a bare `consume()` loop over the same topic.

    python -m benchmarks.collector --quick               under two minutes
    python -m benchmarks.collector --broker HOST:PORT    a real broker

The lines are minutes of films that users watch, with some noise. Without `--broker`, a real
broker is started from the jars in `var/kafka/libs` (`.ci/campaigns stream` fetches them);
without jars, librdkafka's in-process brokers, with less than 4 MB a partition: they forget
what is beyond. The peers only receive the messages and look at none of them: `consume-loop`
with librdkafka's defaults, 5,000 messages a call; `consume-loop-tuned` with the settings of the
collector, as many a call; `consume-loop-small` with these settings, and with the collector's 500
messages a call, below the number at which Python begins to search for garbage. All read the
whole topic, in turns, each on one core; the processor time of librdkafka's threads is theirs.
"""

import argparse
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow.parquet as pq
from confluent_kafka import Consumer, Producer, TopicPartition

from batch.events.ingest import ingest
from batch.events.partitions import partition_files
from batch.settings import BatchSettings
from benchmarks.harness.kafka_broker import KafkaBroker, find_jars
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.simulator.live.stream.brokers import Brokers
from store.stop import StopRequest
from stream.collect.command import open_collector
from stream.collect.folder import CollectorFolder
from stream.collect.folding import fold_days
from stream.collect.kafka_settings import KafkaSettings, consumer_settings
from stream.collect.kafka_source import BATCH_MESSAGES, KafkaSource
from stream.collect.ledger import read_state
from stream.settings import StreamSettings

_SEED: Final = 7
_N_PARTITIONS: Final = 4
_N_WATCHING: Final = 18_000
_MAX_MOCK_BYTES: Final = 4_000_000  # of a partition
_USUAL_BATCH_MESSAGES: Final = 5000
_MAX_LINE_BYTES: Final = 1 << 20


class Log(NamedTuple):
    """A topic that holds lines.

    Attributes:
        bootstrap: Address of the brokers.
        topic: Name of the topic.
        lines: Lines in it, in the order in which they were sent.
        kind: Kind of the brokers: `kafka` or `in-process`.
    """

    bootstrap: str
    topic: str
    lines: list[bytes]
    kind: str


class Cost(NamedTuple):
    """What a run took.

    Attributes:
        seconds: Time.
        cpu_seconds: Processor time of this process, librdkafka's threads included.
    """

    seconds: float
    cpu_seconds: float

    @classmethod
    def now(cls) -> "Cost":
        """Return the clocks."""
        return cls(time.perf_counter(), time.process_time())

    def until_now(self) -> "Cost":
        """Return what has passed since these clocks."""
        now = Cost.now()
        return Cost(now.seconds - self.seconds, now.cpu_seconds - self.cpu_seconds)


class Collected(NamedTuple):
    """Outcome of one run of the collector.

    Attributes:
        cost: Cost until all lines were durable.
        n_lines: Number of lines in the ledger.
        n_lost: Number of positions without a line.
        n_twice: Number of lines beyond one a position.
        is_equal: Whether the partitions have the rows of the bulk parser.
    """

    cost: Cost
    n_lines: int
    n_lost: int
    n_twice: int
    is_equal: bool


def main(arguments: list[str] | None = None) -> int:
    """Print a table and figures; return 1 if a line was lost or taken twice."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="marquee-collector-") as root:
        folder = Path(root)
        with _filled_topic(options, folder) as log:
            collected: list[Collected] = []
            tuned = consumer_settings({"bootstrap.servers": log.bootstrap})
            loops: dict[str, tuple[KafkaSettings, int]] = {
                "consume-loop": ({}, _USUAL_BATCH_MESSAGES),
                "consume-loop-tuned": (tuned, _USUAL_BATCH_MESSAGES),
                "consume-loop-small": (tuned, BATCH_MESSAGES),
            }
            peers: dict[str, list[Cost]] = {name: [] for name in loops}
            for number in range(options.rounds):
                for name, loop in loops.items():
                    peers[name].append(_consume(log, *loop))
                collected.append(_collect(log, folder / str(number)))
    _report(log, collected, peers)
    return int(any(run.n_lost or run.n_twice or not run.is_equal for run in collected))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collector")
    parser.add_argument("--quick", action="store_true", help="600,000 lines")
    parser.add_argument("--lines", type=int, help="number of lines; default: 2,000,000")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--broker", metavar="HOST:PORT", help="a broker that runs already")
    parser.add_argument("--in-process", action="store_true", help="librdkafka's own brokers")
    return parser


@contextlib.contextmanager
def _filled_topic(options: argparse.Namespace, folder: Path) -> Iterator[Log]:
    n_lines = options.lines or (600_000 if options.quick else 2_000_000)
    topic = f"collector-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        kind = "kafka"
        if options.broker:
            bootstrap = options.broker
        elif not options.in_process and (jars := find_jars()):
            bootstrap = stack.enter_context(KafkaBroker(jars, folder / "kafka")).bootstrap
        else:
            bootstrap, kind = stack.enter_context(Brokers()).bootstrap, "in-process"
        lines = _lines(n_lines)
        if kind == "in-process":
            lines = lines[: _N_PARTITIONS * _MAX_MOCK_BYTES // max(map(len, lines))]
        _send(bootstrap, topic, lines, kind)
        yield Log(bootstrap, topic, lines, kind)


def _lines(n_lines: int) -> list[bytes]:
    """Return lines in the order of time: 300 a second, of 18,000 users who watch at a time.

    Of 100 lines one is a rating and one an answered request; one in 2,000 is broken.
    """
    rng = random.Random(_SEED)
    watched = [_view(rng) for _ in range(_N_WATCHING)]
    lines = []
    for number in range(n_lines):
        second = number // 300
        at = f"2026-03-01T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
        user, item, minute = watched[number % _N_WATCHING]
        ends = minute == 120
        watched[number % _N_WATCHING] = _view(rng) if ends else (user, item, minute + 1)
        share = rng.random()
        if share < 0.98:
            line = f"{at},{user},GET /data/m/{item}/{minute}.mpg"
        elif share < 0.99:
            line = f"{at},{user},GET /rate/{item}={rng.randrange(1, 6)}"
        else:
            answer = f"host:8082, status 200, result: {item}, {item}, 65 ms"
            line = f"{at},{user},recommendation request {answer}"
        lines.append((line if rng.random() > 0.0005 else line.replace(",", ", ", 1)).encode())
    return lines


def _view(rng: random.Random) -> tuple[int, str, int]:
    """Return a user, an item and the minute that is watched first."""
    return rng.randrange(1_000_000), f"film+{rng.randrange(27_000)}+1999", rng.randrange(120)


def _send(bootstrap: str, topic: str, lines: list[bytes], kind: str) -> None:
    # Read uncompressed by the in-process brokers, whose limit is that of what they store.
    codec = "zstd" if kind == "kafka" else "none"
    producer = Producer(
        {"bootstrap.servers": bootstrap, "compression.codec": codec, "linger.ms": 50}
    )
    n_partitions = 1 if kind == "kafka" else _N_PARTITIONS
    for number, line in enumerate(lines):
        while True:
            try:
                producer.produce(topic, line, partition=number % n_partitions)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def _consume(log: Log, settings: KafkaSettings, n_messages: int) -> Cost:
    """Return the cost of a loop that only receives all messages, so many a call."""
    consumer = Consumer(
        {
            **settings,
            "bootstrap.servers": log.bootstrap,
            "group.id": "bare",
            "enable.auto.commit": "false",
        }
    )
    partitions = consumer.list_topics(log.topic, timeout=10).topics[log.topic].partitions
    consumer.assign([TopicPartition(log.topic, partition, 0) for partition in partitions])
    n_left, began = len(log.lines), None
    while n_left:
        messages = consumer.consume(n_messages, 1.0)
        began = began or Cost.now()  # connecting is not timed
        n_left -= len(messages)
    assert began is not None
    cost = began.until_now()
    consumer.close()
    return cost


def _collect(log: Log, folder: Path) -> Collected:
    """Collect the whole topic, and compare what is on disk with the bulk parser's rows."""
    settings = StreamSettings(topic=log.topic, events=str(folder / "events"), min_free_mib=0.0)
    batch = BatchSettings(quarantine=str(folder / "quarantine"), max_rejected_share=1.0)
    kafka = {"bootstrap.servers": log.bootstrap, "group.id": f"collector-{folder.name}"}
    with open_collector(settings, batch) as (collector, _):
        source = KafkaSource(
            log.topic, consumer_settings(kafka), collector.ledger, collector, _MAX_LINE_BYTES
        )
        source.start(StopRequest().wait, accept_new=False)
        collector.sources.append(source)
        began = None
        while collector.n_held + collector.ledger.state.n_messages < len(log.lines):
            if collector.step():
                began = began or Cost.now()
        collector.flush()
        assert began is not None
        cost = began.until_now()
        source.close()
        fold_days(CollectorFolder(folder / "events"), collector.ledger, settings, all_days=True)
    return _checked(log, folder, batch, cost)


def _checked(log: Log, folder: Path, batch: BatchSettings, cost: Cost) -> Collected:
    state = read_state(CollectorFolder(folder / "events").ledger)
    n_positions = sum(
        last - first + 1 for ranges in state.ranges.values() for first, last in ranges
    )
    text = folder / "lines.log"
    text.write_bytes(b"".join(line + b"\n" for line in log.lines))
    bulk = replace(batch, events=(str(text),), quarantine=str(folder / "bulk-quarantine"))
    ingested = ingest(bulk, folder / "bulk")
    text.unlink()
    is_equal = state.quarantined == sum(ingested.rejected.values()) and all(
        pq.read_table(path).equals(pq.read_table(folder / "events" / path.relative_to(root)))
        for root in [folder / "bulk"]
        for path in partition_files(root)
    )
    return Collected(
        cost=cost,
        n_lines=state.n_messages,
        n_lost=len(log.lines) - n_positions,
        n_twice=state.n_messages - n_positions,
        is_equal=is_equal,
    )


def _report(log: Log, collected: list[Collected], peers: dict[str, list[Cost]]) -> None:
    n_lines = len(log.lines)
    details = {"lines": n_lines, "rounds": len(collected), "brokers": log.kind, "seed": _SEED}
    for metric in ("lost", "twice"):
        worst = max((getattr(run, f"n_{metric}") for run in collected), key=abs)
        print_figure("collector", metric, worst, "1", subject="marquee", **details)
    n_different = sum(not run.is_equal for run in collected)
    print_figure(
        "collector", "runs_unlike_the_bulk_parser", n_different, "1", subject="marquee", **details
    )
    costs = {"marquee": [run.cost for run in collected], **peers}
    rates = {subject: _rates(n_lines, of_subject) for subject, of_subject in costs.items()}
    rows = []
    for subject, of_subject in rates.items():
        shown = []
        for field, rate, bare in zip(Cost._fields, of_subject, rates["consume-loop"], strict=True):
            compared = {"peer": "consume-loop", "ratio": round(rate / bare, 3)}
            given = {**details, **(compared if subject != "consume-loop" else {})}
            metric = f"lines_per_{field.removesuffix('s')}"
            print_figure("collector", metric, round(rate), "1/s", subject=subject, **given)
            shown += [f"{rate:,.0f}", f"{rate / bare:.2f}"]
        rows.append((subject, f"{n_lines:,}", *shown))
    print_table(("subject", "lines", "lines/s", "ratio", "lines/CPU s", "ratio"), rows)


def _rates(n_lines: int, costs: list[Cost]) -> Cost:
    """Return lines for each unit of the median costs."""
    return Cost(*(n_lines / statistics.median(values) for values in zip(*costs, strict=True)))


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.exit(main())
