"""Lines of a small world, and a run of them through faults, for the tests of faults."""

from collections import Counter

import numpy as np

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.history.answers import make_answers
from benchmarks.simulator.history.lines import LineMaker
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import read_spec
from benchmarks.simulator.live.faults.stream import FaultyStream
from benchmarks.simulator.live.stream.times import seconds_of
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import make_world

WORLD = make_world(n_users=1500, n_items=200, seed=5, n_days=2)
VIEWS = ViewSource(Truth(WORLD), 6).draw(slice(0, 1500))
VIEWS = VIEWS[VIEWS["began"] >= DAY_SECONDS]
HOUR = DAY_SECONDS + 20 * 3600  # the busiest
N_BATCHES, BATCH_SECONDS = 30, 20
ITEM = WORLD.items.ids[7]
WORLD.users.joined[:10] = HOUR + 50 * np.arange(10)  # users who join during the lines


def batches(log_format):
    """Yield valid lines of some minutes in an edition, in batches like those of a live run."""
    maker = LineMaker(WORLD, LOG_FORMATS[log_format])
    heads = maker.heads(1)
    for number in range(N_BATCHES):
        span = (HOUR + BATCH_SECONDS * number, HOUR + BATCH_SECONDS * (number + 1))
        rng = np.random.default_rng(number)
        answers = make_answers(Truth(WORLD), VIEWS, 1.0, span, rng)
        text = maker.make(VIEWS, answers, span, 1, heads, rng).to_pylist()
        yield [line.removesuffix("\n").encode() for line in text]


BATCHES = {log_format: list(batches(log_format)) for log_format in LOG_FORMATS}
LINES = {
    log_format: [line for lines in batches for line in lines]
    for log_format, batches in BATCHES.items()
}


class CollectingStream:
    """A stream that collects lines."""

    def __init__(self):
        self.lines: list[bytes] = []
        self.n_sent, self.n_dropped, self.is_closed = 0, 0, False

    def send(self, lines):
        self.n_sent += len(lines)
        self.lines += lines

    def close(self):
        self.is_closed = True


def run_faults(*specs, log_format="2022"):
    """Send all batches, one a second, through faults; return the lines and the fault log."""
    faults = FaultSchedule(WORLD, [read_spec(spec) for spec in specs])
    target = CollectingStream()
    stream = FaultyStream(target, faults, WORLD, LOG_FORMATS[log_format])
    for number, lines in enumerate(BATCHES[log_format]):
        faults.tick(number)
        stream.send(lines)
    stream.close()
    assert target.is_closed
    assert stream.n_sent == len(target.lines)
    return target.lines, [fault.as_json() for fault in faults.all()]


def n_lines(log_format, n_batches):
    return sum(map(len, BATCHES[log_format][:n_batches]))


def seconds(lines):
    return [seconds_of(line.partition(b",")[0]) for line in lines]


def kinds(lines):
    """Count lines by the kind of their event."""
    names = (b"/data/m/", b"/rate/", b"/create_account", b"recommendation request")
    return Counter(next(name for name in names if name in line) for line in lines)
