"""The same refresh by both engines, local and Spark: users, lists, quality, time and memory.

python -m benchmarks.engines --data FOLDER
python -m benchmarks.engines --users 1000000 --items 27000 --views 50000000
python -m benchmarks.engines --quick

A fifth of the items of users who keep one is held out. Both engines make the lists of all users by
iALS from the rest, and NDCG@20 is of the users with a held-out item. Where the sample of the Spark
engine has all users, all lists are equal. The exit status is 1 if users or counts differ, if a list
holds a seen item, or if `store verify` finds damage.
It needs PySpark and Java 17.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from batch.arrays import Doubles, ItemRows
from batch.evaluation.bootstrap import intervals
from batch.evaluation.metrics import per_user
from batch.topk import NO_ITEM
from benchmarks.harness.arguments import add_data, make_parser, non_negative_int, positive_int
from benchmarks.harness.errors import NotInstalledError, check_pyspark
from benchmarks.harness.held_out import split_items
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.refresh.timed import Timed, time_refresh
from benchmarks.topk.factors import SCENARIO, SEED, Size, interactions
from store.layout import LIST_LENGTH
from store.snapshot import open_snapshot

_N_FACTORS: Final = 64
_SCENARIO: Final = Size(50_000, 27_000, 2_500_000)
_QUICK: Final = Size(3_000, 1_000, 100_000)
_REAL: Final = ("ml-1m", "users-290k")
_N_FILES: Final = 8
_COUNTS: Final = ("n_users", "n_users_without", "n_items", "n_interactions", "n_events")
_HEADER: Final = (
    "data", "engine", "users", "refresh s", "driver MiB", "NDCG@20", "difference", "95 %",
    "equal lists",
)  # fmt: skip


class Made(NamedTuple):
    """What one engine has made.

    Attributes:
        timed: Time, memory and counts.
        lists: (n_users, 20) lists as item rows.
        ndcg: NDCG@20 of each user with a held-out item.
        faults: What is wrong with it, a sentence each.
    """

    timed: Timed
    lists: ItemRows
    ndcg: Doubles
    faults: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status: 0 measured, 1 something is wrong or missing."""
    args = _parser().parse_args(arguments)
    try:
        check_pyspark()
    except NotInstalledError as error:
        print(f"engines: {error}", file=sys.stderr)
        return 1
    if args.data:
        os.environ["MARQUEE_SHARED_DATA"] = str(args.data)
    os.environ["MARQUEE_BATCH_IALS_FACTORS"] = str(_N_FACTORS)
    os.environ["MARQUEE_BATCH_SPARK_SAMPLE"] = str(args.sample)
    given = Size(args.users, args.items, args.views)
    names = _REAL if args.data else (SCENARIO,)
    faults: list[str] = []
    rows: list[tuple[str, ...]] = []
    for name in names:
        weights = interactions(name, _QUICK if args.quick else given)
        if weights is None:
            print(f"{name}: no such data, skipped", file=sys.stderr)
            continue
        found, of_data = _measure(name, weights, args)
        faults += found
        rows += of_data
    print_table(_HEADER, rows)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _measure(
    name: str, weights: sp.csr_matrix, args: argparse.Namespace
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return what is wrong, and the rows of the table; print the figures."""
    train, test = _split(weights)
    del weights
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        _write_events(folder / "events", train)
        cluster = ("--engine", "spark", "--master", args.master)
        local, spark = (
            _made(folder / engine, folder / "events", options, train, test)
            for engine, options in (("local", ()), ("spark", cluster))
        )
    is_equal = (local.lists == spark.lists).all(axis=1)
    difference = (spark.ndcg - local.ndcg)[:, None] / local.ndcg.mean()
    ((interval,),) = intervals(difference, np.ones((len(difference), 1), np.bool_), seed=SEED)
    about = {
        "data": name, "n_users": train.shape[0], "n_items": train.shape[1],
        "n_interactions": train.nnz, "n_factors": _N_FACTORS, "master": args.master,
        "sample": args.sample, "seed": SEED,
    }  # fmt: skip
    print_figure(
        "engines", "ndcg_at_20", round(float(spark.ndcg.mean()), 5), "1", subject="spark",
        peer="local", ratio=round(1 + float(difference.mean()), 5),
        ratio_low=round(1 + interval.low, 5), ratio_high=round(1 + interval.high, 5), **about,
    )  # fmt: skip
    print_figure(
        "engines", "equal_lists", round(float(is_equal.mean()), 5), "1", subject="spark",
        peer="local", **about,
    )  # fmt: skip
    faults = [*local.faults, *spark.faults]
    counts = [{key: one.timed.summary[key] for key in _COUNTS} for one in (local, spark)]
    if counts[0] != counts[1]:
        faults.append(f"{name}: counts differ: {counts[0]} and {counts[1]}")
    compared = (
        f"{difference.mean():+.2%}", f"{interval.low:+.2%} to {interval.high:+.2%}",
        f"{is_equal.mean():.2%}",
    )  # fmt: skip
    rows = [_row(name, "local", local, ("", "", "")), _row(name, "spark", spark, compared)]
    for engine, one in (("local", local), ("spark", spark)):
        for metric, value, unit in (
            ("refresh_seconds", one.timed.seconds, "s"),
            ("driver_peak_memory", one.timed.peak_mib, "MiB"),
        ):
            print_figure("engines", metric, round(value, 1), unit, subject=engine, **about)
    return faults, rows


def _row(data: str, engine: str, made: Made, compared: tuple[str, ...]) -> tuple[str, ...]:
    timed = made.timed
    return (
        data, engine, f"{len(made.lists):,}", f"{timed.seconds:.0f}", f"{timed.peak_mib:,.0f}",
        f"{made.ndcg.mean():.4f}", *compared,
    )  # fmt: skip


def _made(
    store: Path,
    events: Path,
    options: Sequence[str],
    train: sp.csr_matrix,
    test: sp.csr_matrix,
) -> Made:
    """Refresh a store, and read what was made."""
    timed = time_refresh(store, ["--events", str(events), *options], "ials")
    command = [sys.executable, "-m", "store", "--store", str(store), "verify"]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    faults = [f"{store.name}: {verified.stdout}{verified.stderr}"] if verified.returncode else []
    lists = _lists(store, train.shape[0])
    user_rows, _ = np.nonzero(lists != NO_ITEM)
    held = sp.csr_matrix(
        (np.ones(len(user_rows), np.float32), (user_rows, lists[lists != NO_ITEM])), train.shape
    )
    n_seen = held.multiply(train).nnz
    if n_seen:
        faults.append(f"{store.name}: {n_seen:,} items of lists are seen")
    n_with, n_users = int((lists[:, 0] != NO_ITEM).sum()), timed.summary["n_users"]
    if n_with != n_users:
        faults.append(f"{store.name}: {n_with:,} lists of {n_users:,} users")
    ranked = np.flatnonzero(np.diff(test.indptr))
    return Made(timed, lists, per_user(lists[ranked], test[ranked])["ndcg"], faults)


def _split(weights: sp.csr_matrix) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return training and test set; every user has an item in the first."""
    train, test = split_items(weights, SEED)
    is_lost = np.repeat(np.diff(train.indptr) == 0, np.diff(weights.indptr))
    kept = sp.csr_matrix((weights.data * is_lost, weights.indices, weights.indptr), weights.shape)
    kept.eliminate_zeros()
    test = sp.csr_matrix(test - kept)
    test.eliminate_zeros()
    return sp.csr_matrix(train + kept), test


def _lists(store: Path, n_users: int) -> ItemRows:
    lists = np.full((n_users, LIST_LENGTH), NO_ITEM, np.int32)
    with open_snapshot(store, 1) as snapshot:
        for user, body in snapshot.users:
            items = np.array(body.split(b","), np.int32) - 1
            lists[int(user) - 1, : len(items)] = items
    return lists


def _write_events(folder: Path, train: sp.csr_matrix) -> None:
    """Write the pairs in files of some users each; ids are row numbers, from 1."""
    folder.mkdir()
    for number, table in enumerate(_tables(train)):
        pq.write_table(table, folder / f"part-{number:03}.parquet")


def _tables(train: sp.csr_matrix) -> Iterator[pa.Table]:
    edges = np.linspace(0, train.shape[0], _N_FILES + 1).astype(np.int64)
    for first, end in itertools.pairwise(edges):
        starts = train.indptr[first : end + 1]
        users = np.repeat(np.arange(first + 1, end + 1), np.diff(starts))
        items = train.indices[starts[0] : starts[-1]].astype(np.int64) + 1
        yield pa.table({"user_id": users, "item_id": items})


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("engines", __doc__)
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK.users:,} generated users")
    for name, default in asdict(_SCENARIO).items():
        parser.add_argument(
            f"--{name}", type=positive_int, default=default,
            help=f"{name} of the generated service, default: {default:,}",
        )  # fmt: skip
    parser.add_argument(
        "--sample", type=non_negative_int, default=0, metavar="N",
        help="interactions of the Spark engine's sample; default: 300 an item, at least 2 million",
    )  # fmt: skip
    parser.add_argument("--master", default="local[2]", metavar="URL", help="default: local[2]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
