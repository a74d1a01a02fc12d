"""Time one lookup on the hot path with no, one and a thousand items taken down.

python -m benchmarks.takedown
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.report import print_figure, print_table
from serve.worker.served import Served
from store.gate_result import GateResult
from store.layout import FACTORS, INDEX, POPULAR, RECS, RESERVE
from store.publish import publish, writing
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter

_N_ITEMS, _SEED, _N_ROUNDS = 27_000, 7, 7
_LOOKUPS = 200_000
_HIDDEN = (0, 1, 1_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a snapshot, look up random users, and print nanoseconds a lookup."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.takedown", description=__doc__)
    parser.add_argument("--users", type=int, default=200_000, metavar="N")
    given = parser.parse_args(arguments)
    rng = random.Random(_SEED)
    names = [f"some+movie+of+the+seventies+{row}+19{row % 100:02d}" for row in range(_N_ITEMS)]
    weights = [1 / (1 + row) for row in range(_N_ITEMS)]  # popular items are in most lists
    users = [b"%d" % rng.randrange(given.users) for _ in range(_LOOKUPS)]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        _write(store, given.users, names, weights, rng)
        with open_snapshot(store, 1, verified=True) as snapshot:
            lookups = {
                n: Served(snapshot, {name.encode() for name in names[:n]}).get for n in _HIDDEN
            }
            rounds = [
                {n: _nanoseconds(get, users) for n, get in lookups.items()}
                for _ in range(_N_ROUNDS)
            ]
    medians = {n: statistics.median(one[n] for one in rounds) for n in _HIDDEN}
    print_table(
        ("items taken down", "ns a lookup", "ratio"),
        [(f"{n:,}", f"{medians[n]:,.0f}", f"{medians[n] / medians[0]:.2f}") for n in _HIDDEN],
    )
    for n, value in medians.items():
        ratio = round(value / medians[0], 2)
        print_figure(
            *("takedown", "lookup_ns", round(value), "ns"),
            subject=f"marquee-{n}-hidden",
            peer="marquee-0-hidden",
            ratio=ratio,
            users=given.users,
            seed=_SEED,
        )
    return 0


def _nanoseconds(get: Callable[[bytes], bytes | None], users: Sequence[bytes]) -> float:
    began = time.perf_counter_ns()
    for user in users:
        get(user)
    return (time.perf_counter_ns() - began) / len(users)


def _write(
    store: Path, n_users: int, names: list[str], weights: list[float], rng: random.Random
) -> None:
    bodies = [_body(names, weights, rng, 30) for _ in range(500)]  # of which users share some

    def lists(part: slice) -> Iterator[tuple[bytes, bytes]]:
        for user in sorted(b"%d" % number for number in range(n_users)):
            yield user, b",".join(bodies[int(user) % len(bodies)][part])

    with writing(store), SnapshotWriter(store) as writer:
        writer.table(RECS, "users", lists(slice(20)))
        writer.table(RECS, "spares", lists(slice(20, 30)))
        popular = [name.encode() for name in names]
        fallback = [(POPULAR, b",".join(popular[:20])), (RESERVE, b",".join(popular[20:100]))]
        writer.table(RECS, "fallback", fallback)
        for name in ("similar", "profiles", "items", "rows"):
            writer.table(RECS, name, [])
        for name in ("users", "items", "biases"):
            writer.table(FACTORS, name, [])
        writer.path(INDEX).touch()
        manifest = writer.finish(
            began_at="", finished_at="", code_version="", inputs=[], parameters={}, metrics={},
            gate=GateResult(),
        )  # fmt: skip
        publish(store, manifest.generation, why="benchmark")


def _body(names: list[str], weights: list[float], rng: random.Random, n: int) -> list[bytes]:
    drawn = dict.fromkeys(rng.choices(names, weights, k=20 * n))
    return [name.encode() for name in list(drawn)[:n]]


if __name__ == "__main__":
    raise SystemExit(main())
