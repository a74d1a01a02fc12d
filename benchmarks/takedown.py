"""Time one lookup on the hot path with no, one and a thousand items taken down.

python -m benchmarks.takedown [--quick]
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.arguments import make_parser, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.harness.snapshots import Tables, write_snapshot
from benchmarks.harness.tables import print_table
from serve.worker.served import Served
from store.layout import POPULAR, RECS, RESERVE
from store.snapshot import open_snapshot

_SEED: Final = 7
_N_ITEMS: Final = 27_000
_N_BODIES: Final = 500  # different lists; users share them
_N_LISTED: Final = 30  # items of a list, its spares included
_N_LOOKUPS: Final = 200_000
_N_ROUNDS: Final = 7
_QUICK: Final = (5_000, 20_000, 3)  # users, lookups, rounds
_N_TAKEN_DOWN: Final = (0, 1, 1_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build a snapshot, look up random users, and print nanoseconds per lookup."""
    parser = make_parser("takedown", __doc__)
    parser.add_argument("--users", type=positive_int, default=200_000, metavar="N")
    parser.add_argument("--quick", action="store_true", help="5,000 users, fewer lookups")
    args = parser.parse_args(arguments)
    sizes = (args.users, _N_LOOKUPS, _N_ROUNDS)
    n_users, n_lookups, n_rounds = _QUICK if args.quick else sizes
    rng = random.Random(_SEED)
    item_ids = [f"some+movie+of+the+seventies+{row}+19{row % 100:02d}" for row in range(_N_ITEMS)]
    names = [item_id.encode() for item_id in item_ids]
    users = [b"%d" % rng.randrange(n_users) for _ in range(n_lookups)]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        write_snapshot(store, lambda _: _tables(n_users, names, rng))
        with open_snapshot(store, 1, verified=True) as snapshot:
            lookups = {n: Served(snapshot, set(names[:n])).get for n in _N_TAKEN_DOWN}
            rounds = [
                {n: _nanoseconds(get, users) for n, get in lookups.items()} for _ in range(n_rounds)
            ]
    medians = {n: statistics.median(one[n] for one in rounds) for n in _N_TAKEN_DOWN}
    _print(medians, n_users)
    return 0


def _print(medians: dict[int, float], n_users: int) -> None:
    ratios = {n: value / medians[0] for n, value in medians.items()}
    print_table(
        ("items taken down", "ns per lookup", "ratio"),
        [(f"{n:,}", f"{value:,.0f}", f"{ratios[n]:.2f}") for n, value in medians.items()],
    )
    for n, value in medians.items():
        print_figure(
            *("takedown", "lookup_ns", round(value), "ns"),
            subject=f"marquee-{n}-hidden",
            peer="marquee-0-hidden",
            ratio=round(ratios[n], 2),
            users=n_users,
            seed=_SEED,
        )


def _nanoseconds(get: Callable[[bytes], bytes | None], users: Sequence[bytes]) -> float:
    """Return the mean time of one lookup."""
    began = time.perf_counter_ns()
    for user in users:
        get(user)
    return (time.perf_counter_ns() - began) / len(users)


def _tables(n_users: int, names: Sequence[bytes], rng: random.Random) -> Tables:
    """Return tables in which popular items stand in most lists."""
    weights = [1 / (1 + row) for row in range(len(names))]
    bodies = [_draw(names, weights, rng) for _ in range(_N_BODIES)]

    def lists(part: slice) -> Iterator[tuple[bytes, bytes]]:
        for user in sorted(b"%d" % number for number in range(n_users)):
            yield user, b",".join(bodies[int(user) % len(bodies)][part])

    fallback = [(POPULAR, b",".join(names[:20])), (RESERVE, b",".join(names[20:100]))]
    return {RECS: {"users": lists(slice(20)), "spares": lists(slice(20, 30)), "fallback": fallback}}


def _draw(names: Sequence[bytes], weights: Sequence[float], rng: random.Random) -> list[bytes]:
    drawn = dict.fromkeys(rng.choices(names, weights, k=20 * _N_LISTED))
    return list(drawn)[:_N_LISTED]


if __name__ == "__main__":
    sys.exit(main())
