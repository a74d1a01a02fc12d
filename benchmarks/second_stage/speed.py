"""Time of the lists of the second stage, on made interactions of the size of the scenario.

python -m benchmarks.second_stage.speed
python -m benchmarks.second_stage.speed --users 20000 --threads 2

The lists of a sample of users are made; the time of a million is extrapolated, for it is
proportional to the users. Processor time is shown beside the time by the clock, because other
programs take processors away.
"""

import sys
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Times
from batch.models.als import Als
from batch.models.protocol import Ranker
from batch.second_stage.choice import StageInputs, choose
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import DAY_SECONDS
from benchmarks.harness.arguments import make_parser, positive_float, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table

_SEED: Final = 42
_DAYS: Final = 14
_N_GENRES: Final = 18
_N_SEGMENTS: Final = 14
_N_LISTED: Final = 20
_N_MILLION: Final = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Time training and lists, and print what a million users take."""
    parser = make_parser("second_stage.speed", __doc__)
    parser.add_argument("--users", type=positive_int, default=50_000, metavar="N")
    parser.add_argument("--items", type=positive_int, default=27_000, metavar="N")
    parser.add_argument("--views", type=positive_float, default=50.0, help="mean of a user")
    parser.add_argument("--threads", type=positive_int, default=2, metavar="N")
    args = parser.parse_args(arguments)
    inputs = _made(args.users, args.items, args.views, args.threads)
    model = inputs.fit_model(inputs.weights, inputs.at)
    rows: list[tuple[str, float, float, int | None]] = []
    began = _clocks()
    stage = choose(model, lambda: inputs, "on").ranker
    rows.append(("trial, training, features", *_since(began), None))
    began = _clocks()
    stage.top_k(_N_LISTED, n_threads=args.threads)
    rows.append(("lists", *_since(began), args.users))
    _print(rows, args.users, args.items, args.views, args.threads)
    return 0


def _made(n_users: int, n_items: int, n_views: float, n_threads: int) -> StageInputs:
    """Return interactions with items drawn by a power law, and random metadata."""
    random = np.random.default_rng(_SEED)
    share = np.arange(1, n_items + 1) ** -0.9
    user = np.repeat(np.arange(n_users), 1 + random.poisson(n_views - 1, n_users))
    item = random.choice(n_items, len(user), p=share / share.sum())
    cells = np.unique(user * n_items + item)
    ones = np.ones(len(cells), np.float32)
    weights = sp.csr_matrix((ones, np.divmod(cells, n_items)), (n_users, n_items))
    at = 20_000 * DAY_SECONDS + random.integers(0, _DAYS * DAY_SECONDS, len(cells))
    genres = np.eye(_N_GENRES, dtype=np.float32)[random.integers(0, _N_GENRES, n_items)]
    segment = random.integers(0, _N_SEGMENTS, n_users).astype(np.int32)
    numbers = random.normal(size=(n_items, 3)).astype(np.float32)
    profiles = np.stack((segment, segment % 2), axis=1).astype(np.float32)
    metadata = Metadata(genres, numbers, profiles, segment, _N_SEGMENTS)

    def fit(part: sp.csr_matrix, part_at: Times | None) -> Ranker:
        return Als(iterations=1, seed=_SEED).fit(part, at=part_at, n_threads=n_threads)

    return StageInputs(weights, at, metadata, fit, _SEED, n_threads)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    wall, processor = _clocks()
    return wall - began[0], processor - began[1]


def _print(
    rows: Sequence[tuple[str, float, float, int | None]],
    n_users: int,
    n_items: int,
    n_views: float,
    n_threads: int,
) -> None:
    table = []
    for name, wall, processor, n_done in rows:
        per_million = None if n_done is None else processor / n_done * _N_MILLION / n_threads
        shown = "" if per_million is None else f"{per_million:,.0f} s"
        table.append((name, f"{wall:.1f}", f"{processor:.1f}", shown))
        print_figure(
            "second_stage.speed", "seconds", round(wall, 1), "s", subject=name,
            processor_seconds=round(processor, 1), seconds_a_million=per_million,
            n_users=n_users, n_items=n_items, views_per_user=n_views, threads=n_threads,
            seed=_SEED,
        )  # fmt: skip
    header = ("step", "s", "processor s", f"1 million users, {n_threads} free cores")
    print_table(header, table)


if __name__ == "__main__":
    sys.exit(main())
