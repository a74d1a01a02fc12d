"""Train each item–item model on generated views, and make all lists: processor time and memory.

Times are of all processors together, so that other work on the machine does not count.
Each model is trained in a process of its own, so that its peak of memory is its own. "One
user" is the median time to fold one user in and make their list. `item_knn` is compared
with the lists of `implicit`, which makes them on one thread.
"""

import argparse
import importlib.metadata
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import CosineRecommender

from batch.models.choose import recommender
from batch.models.protocol import Fitted
from batch.settings import BatchSettings
from benchmarks.harness.arguments import make_parser, positive_int, some_of
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.topk.factors import SCENARIO, SEED, Size, interactions

MODELS: Final = ("item_knn", "rp3beta", "graph_filter", "ease")
_K: Final = 20
_N_FOLDED_IN: Final = 100  # users folded in, one at a time
_MAX_COMPARED_USERS: Final = 20_000
_SIZE: Final = Size(30_000, 41_000, 1_000_000)
_QUICK_SIZE: Final = Size(2_000, 1_000, 60_000)
_HEADER: Final = ("model", "training s", "lists s", "one user ms", "peak MiB", "implicit")
_EXAMPLE: Final = """example:
  python -m benchmarks.item_item --users 100000 --items 27000 --views 5000000 --models item_knn
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one model.

    Attributes:
        training_seconds: Processor time to train.
        lists_seconds: Processor time to make the lists of all users.
        one_user_ms: Median processor time to fold in one user and make their list, in milliseconds.
        peak_mib: Peak memory of the process, interactions and imports included, in MiB.
        ratio: Speed of the lists over that of `implicit`; 0: not compared.
        differing: Users whose list has other scores than that of `implicit`.
    """

    training_seconds: float
    lists_seconds: float
    one_user_ms: float
    peak_mib: float
    ratio: float = 0.0
    differing: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status: 0 measured, 1 lists differ."""
    args = _parser().parse_args(arguments)
    default = _QUICK_SIZE if args.quick else _SIZE
    size = Size(
        args.users or default.users, args.items or default.items, args.views or default.views
    )
    rows, n_differing = [], 0
    for model in args.models:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            measured = pool.submit(measure, model, size).result()
        n_differing += measured.differing
        _print_figures(model, size, measured)
        ratio = f"{measured.ratio:.2f}" if measured.ratio else ""
        cells = (measured.training_seconds, measured.lists_seconds, measured.one_user_ms)
        rows.append((model, *(f"{x:.1f}" for x in cells), f"{measured.peak_mib:,.0f}", ratio))
    print_table(_HEADER, rows)
    return 1 if n_differing else 0


def measure(model: str, size: Size) -> Measured:
    """Return the figures of one model; it is called in a process of its own."""
    weights = interactions(SCENARIO, size)
    assert weights is not None  # it is generated
    settings = BatchSettings(similarity="cosine")
    begin = time.process_time()
    fitted = recommender(model, settings).fit(weights)
    trained = time.process_time()
    fitted.top_k(_K)
    listed = time.process_time()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    one_user_ms = statistics.median(_one_user_ms(fitted, weights))
    figures = (trained - begin, listed - trained, one_user_ms, peak_mib)
    if model != "item_knn":
        return Measured(*figures)
    return Measured(*figures, *_compared(fitted, weights, settings.n_neighbours))


def _one_user_ms(fitted: Fitted, weights: sp.csr_matrix) -> list[float]:
    milliseconds = []
    for user in np.linspace(0, weights.shape[0] - 1, _N_FOLDED_IN).astype(int).tolist():
        begin = time.process_time()
        fitted.fold_in(weights[user : user + 1]).top_k(_K, n_threads=1)
        milliseconds.append((time.process_time() - begin) * 1000)
    return milliseconds


def _compared(fitted: Fitted, weights: sp.csr_matrix, n_neighbours: int) -> tuple[float, int]:
    """Return the speed over that of `implicit`, on one thread, and the users that differ."""
    user_rows = np.arange(min(_MAX_COMPARED_USERS, weights.shape[0]))
    peer = CosineRecommender(n_neighbours + 1)
    peer.fit(weights, show_progress=False)
    begin = time.process_time()
    _, scores = peer.recommend(user_rows, weights[user_rows], N=_K)
    between = time.process_time()
    lists = fitted.top_k(_K, user_rows=user_rows, n_threads=1)
    end = time.process_time()
    is_close = np.isclose(lists.scores, np.maximum(scores, 0), rtol=1e-4, atol=1e-6)
    return (between - begin) / (end - between), int((~is_close).any(axis=1).sum())


def _print_figures(model: str, size: Size, measured: Measured) -> None:
    compared = {"peer": "implicit", "ratio": measured.ratio, "differing": measured.differing}
    for metric, unit in (
        ("training_seconds", "s"),
        ("lists_seconds", "s"),
        ("one_user_ms", "ms"),
        ("peak_mib", "MiB"),
    ):
        is_compared = metric == "lists_seconds" and measured.ratio
        print_figure(
            "item_item", metric, getattr(measured, metric), unit, subject=model,
            **asdict(size), k=_K, seed=SEED, version=importlib.metadata.version("implicit"),
            **(compared if is_compared else {}),
        )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("item_item", __doc__, _EXAMPLE)
    parser.add_argument("--quick", action="store_true", help="2,000 users, 1,000 items")
    parser.add_argument("--users", type=positive_int, help=f"default: {_SIZE.users:,}")
    parser.add_argument("--items", type=positive_int, help=f"default: {_SIZE.items:,}")
    parser.add_argument("--views", type=positive_int, help=f"default: {_SIZE.views:,}")
    parser.add_argument(
        "--models", type=some_of(MODELS, "model"), default=list(MODELS),
        metavar="MODEL,…", help=f"default: {','.join(MODELS)}",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
