"""A refresh by the Spark engine, against Spark alone: MLlib's ALS and `recommendForAllUsers`.

python -m benchmarks.spark --data FOLDER
python -m benchmarks.spark --quick

Both read the same Parquet file with the same master, train as many factors in as many sweeps, and
keep a list for each user. MLlib's lists may hold seen items, and are written as Parquet; ours hide
them, and are stored with vectors and histories. `differing` counts the lists that differ from
those of the local engine, which trains the same factors. It needs PySpark and Java 17.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from batch.settings import BatchSettings
from benchmarks.harness.arguments import add_data, make_parser, positive_int
from benchmarks.harness.errors import NotInstalledError, check_pyspark
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.refresh.timed import Timed, time_refresh
from benchmarks.topk.factors import SCENARIO, SEED, Size, interactions
from store.layout import LIST_LENGTH
from store.snapshot import open_snapshot

_N_FACTORS: Final = 64
_SWEEPS: Final = BatchSettings().ials_iterations
_SCENARIO: Final = Size(50_000, 27_000, 2_500_000)
_QUICK: Final = Size(3_000, 1_000, 100_000)
_REGULARIZATION, _ALPHA = 0.05, 2.0  # of MLlib
_HEADER: Final = ("data", "engine", "refresh s", "lists s", "lists/s", "differing")


class Mllib(NamedTuple):
    """Elapsed times of Spark alone.

    Attributes:
        seconds: Reading, training, lists and writing.
        lists_seconds: Lists and writing alone.
    """

    seconds: float
    lists_seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status: 0 measured, 1 lists differ or no PySpark."""
    args = _parser().parse_args(arguments)
    try:
        check_pyspark()
    except NotInstalledError as error:
        print(f"spark: {error}", file=sys.stderr)
        return 1
    if args.data:
        os.environ["MARQUEE_SHARED_DATA"] = str(args.data)
    os.environ["MARQUEE_BATCH_IALS_FACTORS"] = str(_N_FACTORS)
    given = Size(args.users, _SCENARIO.items, args.users * _SCENARIO.views // _SCENARIO.users)
    data = [(SCENARIO, _QUICK)] if args.quick else [("ml-1m", _QUICK), (SCENARIO, given)]
    n_differing = 0
    rows: list[tuple[str, ...]] = []
    for name, size in data:
        weights = interactions(name, size)
        if weights is None:
            print(f"{name}: no such data, skipped", file=sys.stderr)
            continue
        n_found, of_data = _measure(name, weights, args.master)
        n_differing += n_found
        rows += of_data
    print_table(_HEADER, rows)
    return 1 if n_differing else 0


def _measure(name: str, weights: sp.csr_matrix, master: str) -> tuple[int, list[tuple[str, ...]]]:
    """Return the number of differing lists, and the rows of the table; print the figures."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        _write_events(folder / "events.parquet", weights)
        stores = [folder / engine for engine in ("local", "spark")]
        given = ["--events", str(folder / "events.parquet")]
        local = time_refresh(stores[0], given, "ials")
        cluster = ["--engine", "spark", "--master", master]
        ours = time_refresh(stores[1], [*given, *cluster], "ials")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            theirs = pool.submit(_mllib, folder / "events.parquet", master).result()
        lists = [_lists(store) for store in stores]
    n_differing = sum(lists[0].get(key) != lists[1].get(key) for key in lists[0] | lists[1])
    n_lists, seconds = len(lists[1]), ours.summary["seconds"]["users"]
    about = {
        "data": name, "n_users": weights.shape[0], "n_items": weights.shape[1],
        "n_interactions": weights.nnz, "n_factors": _N_FACTORS, "sweeps": _SWEEPS,
        "master": master, "seed": SEED,
    }  # fmt: skip
    figures = (
        ("lists_per_second", n_lists / seconds, "1/s", theirs.lists_seconds / seconds),
        ("refresh_seconds", ours.seconds, "s", theirs.seconds / ours.seconds),
    )
    for metric, value, unit, ratio in figures:
        print_figure(
            "spark", metric, round(value, 2), unit, subject="marquee", peer="mllib",
            ratio=round(ratio, 2), **about,
        )  # fmt: skip
    print_figure("spark", "differing", n_differing, "1", subject="marquee", **about)
    print_figure(
        "spark", "driver_peak_memory", round(ours.peak_mib), "MiB", subject="marquee", **about
    )
    return n_differing, _rows(name, n_lists, {"local": local, "spark": ours}, theirs, n_differing)


def _rows(
    name: str, n_lists: int, ours: dict[str, Timed], theirs: Mllib, n_differing: int
) -> list[tuple[str, ...]]:
    seconds = {
        "local": (ours["local"].seconds, ours["local"].summary["seconds"]["top-k"]),
        "spark": (ours["spark"].seconds, ours["spark"].summary["seconds"]["users"]),
        "mllib": tuple(theirs),
    }
    differing = {"spark": str(n_differing)}
    return [
        (name, engine, f"{of_all:.1f}", f"{of_lists:.2f}", f"{n_lists / of_lists:,.0f}",
         differing.get(engine, ""))
        for engine, (of_all, of_lists) in seconds.items()
    ]  # fmt: skip


def _write_events(path: Path, weights: sp.csr_matrix) -> None:
    """Write pairs whose ids are row numbers, from 1: MLlib takes numbers alone."""
    users = np.repeat(np.arange(1, 1 + weights.shape[0]), np.diff(weights.indptr))
    pairs = {"user_id": users, "item_id": weights.indices.astype(np.int64) + 1}
    pq.write_table(pa.table(pairs), path)


def _lists(store: Path) -> dict[bytes, bytes]:
    with open_snapshot(store, 1) as snapshot:
        return dict(snapshot.users)


def _mllib(events: Path, master: str) -> Mllib:
    """Train and recommend by Spark alone; it is called in a process of its own."""
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    spark: Any = SparkSession.builder.master(master)
    for key, value in {
        "log.level": "ERROR",
        "ui.enabled": "false",
        "ui.showConsoleProgress": "false",
    }.items():
        spark = spark.config(f"spark.{key}", value)
    spark = spark.getOrCreate()
    begin = time.perf_counter()
    pairs = spark.read.parquet(str(events)).withColumn("rating", f.lit(1.0))
    als = ALS(
        rank=_N_FACTORS, maxIter=_SWEEPS, regParam=_REGULARIZATION, alpha=_ALPHA,
        implicitPrefs=True, userCol="user_id", itemCol="item_id", seed=SEED,
    )  # fmt: skip
    model = als.fit(pairs)
    trained = time.perf_counter()
    model.recommendForAllUsers(LIST_LENGTH).write.parquet(str(events.parent / "mllib"))
    end = time.perf_counter()
    spark.stop()
    return Mllib(end - begin, end - trained)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("spark", __doc__)
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK.users:,} generated users")
    parser.add_argument(
        "--users", type=positive_int, default=_SCENARIO.users,
        help=f"users of the generated service, default: {_SCENARIO.users:,}",
    )  # fmt: skip
    parser.add_argument("--master", default="local[2]", metavar="URL", help="default: local[2]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
