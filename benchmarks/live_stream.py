"""Send lines through the live simulator's streams, in quiet times and in trouble.

    python -m benchmarks.live_stream > live_stream.jsonl

A million lines of one world go out in portions, each second of the stream's clock one, to a
file and to Kafka. The brokers are the simulator's own, in a process beside; "lines/s" ends when
they have the last line. The world's own making is not timed.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks.report import print_figure, print_table
from benchmarks.simulator.clock import DAY_SECONDS, FIRST_DAY
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.stream import FaultyStream
from benchmarks.simulator.live.stream.brokers import Brokers
from benchmarks.simulator.live.stream.file import FileStream
from benchmarks.simulator.live.stream.kafka import KafkaStream
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.live.stream.times import format_time
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.world import World, make_world

_N_USERS, _N_ITEMS, _SEED = 20_000, 2000, 7
_N_PORTIONS, _PORTION = 200, 5000
_EDITION: Final = "2022"


class Seen(NamedTuple):
    """What one run took.

    Attributes:
        seconds: Until all was delivered.
        core_seconds: Of this process.
        longest_ms: Of one portion's `send`.
    """

    seconds: float
    core_seconds: float
    longest_ms: float


def main() -> None:
    """Print a table and figures."""
    world = make_world(_N_USERS, _N_ITEMS, _SEED)
    portions = list(_portions(world))
    rows = []
    with tempfile.TemporaryDirectory(prefix="marquee-stream-") as folder, Brokers() as brokers:
        for name, (stream, orders) in _subjects(world, Path(folder), brokers).items():
            seen = _send(world, stream, orders, portions)
            n_lines = _N_PORTIONS * _PORTION
            rates = n_lines / seen.seconds, n_lines / seen.core_seconds
            rows.append((name, *(f"{rate:,.0f}" for rate in rates), f"{seen.longest_ms:.0f}"))
            figures = zip(("lines_per_second", "lines_per_core_second"), rates, strict=True)
            for metric, value in figures:
                print_figure(
                    "live_stream", metric, value, "1/s", subject=name, lines=n_lines, seed=_SEED
                )
            print_figure("live_stream", "longest_send", seen.longest_ms, "ms", subject=name)
    print_table(("subject", "lines/s", "lines/CPU s", "longest send, ms"), rows)


def _subjects(
    world: World, folder: Path, brokers: Brokers
) -> Mapping[str, tuple[Stream, Sequence[str]]]:
    flood = f"0s flood item={world.items.ids[0]} views=20000 for={_N_PORTIONS}s"
    changes = ("0s edition to=2026", "0s jump by=-1h", "0s schema change=json", "0s noise")
    subjects: dict[str, tuple[Stream, Sequence[str]]] = {
        "file": (FileStream(folder / "quiet.log"), ()),
        "file-pieces": (FileStream(folder / "pieces.log", piece_bytes=1 << 20, n_kept=5), ()),
    }
    for order in (flood, *changes):
        name = order.split()[1]
        subjects[f"file-{name}"] = FileStream(folder / f"{name}.log"), (order,)
    subjects["kafka"] = KafkaStream(brokers.bootstrap, "quiet"), ()
    subjects["kafka-all"] = KafkaStream(brokers.bootstrap, "all"), (flood, *changes)
    return subjects


def _portions(world: World) -> Iterator[list[bytes]]:
    """Yield the lines of one second after the other."""
    rng = np.random.default_rng(_SEED)
    began = int(FIRST_DAY.astype(np.int64)) + world.n_days * DAY_SECONDS
    items = [item.encode() for item in world.items.ids]
    for second in range(_N_PORTIONS):
        at = format_time(began + second)
        users = rng.choice(world.users.ids, _PORTION).tolist()
        rows = rng.integers(0, len(items), _PORTION).tolist()
        minutes = rng.integers(0, 90, _PORTION).tolist()
        yield [
            b"%s,%d,GET /data/m/%s/%d.mpg" % (at, user, items[row], minute)
            for user, row, minute in zip(users, rows, minutes, strict=True)
        ]


def _send(
    world: World, stream: Stream, orders: Sequence[str], portions: Sequence[Sequence[bytes]]
) -> Seen:
    faults = FaultSchedule(world)
    for order in orders:
        faults.add(order)
    faulty = FaultyStream(stream, faults, world, LOG_FORMATS[_EDITION])
    longest = 0.0
    began, core_began = time.perf_counter(), time.process_time()
    for second, lines in enumerate(portions):
        sending = time.perf_counter()
        faults.tick(second)
        faulty.send(lines)
        longest = max(longest, time.perf_counter() - sending)
    faulty.close()
    ended, core_ended = time.perf_counter(), time.process_time()
    return Seen(ended - began, core_ended - core_began, 1000 * longest)


if __name__ == "__main__":
    main()
