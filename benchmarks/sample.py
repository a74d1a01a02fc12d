"""What it costs to train on a sample of the users, and what sweeps over all of them make up for.

python -m benchmarks.sample --data FOLDER
python -m benchmarks.sample --quick

A fifth of each user's items is held out, and iALS ranks the rest: trained on all users, on samples,
and on samples and then in some sweeps over all users, as the Spark engine does. NDCG@20 is of all
users; its difference has a bootstrap interval over users. The Spark engine's sample has 300
interactions an item, and never fewer than 2 million.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles
from batch.evaluation.bootstrap import intervals
from batch.evaluation.metrics import per_user
from batch.models.all_users import SolvedUsers, Sums, total_of, train_on_all
from batch.models.ials import Ials
from batch.models.least_squares_users import LeastSquares
from batch.models.protocol import Fitted
from batch.settings import BatchSettings
from benchmarks.harness.arguments import add_data, make_parser
from benchmarks.harness.held_out import hold_out_items
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.topk.factors import SCENARIO, Size, interactions
from store.layout import LIST_LENGTH

_SEED: Final = 7
_N_FACTORS: Final = 64
_MODEL: Final = Ials(n_factors=_N_FACTORS, seed=_SEED)
_PART_USERS: Final = 1 << 13
_SHARES: Final = (0.75, 0.5, 0.25, 0.1)
_SCENARIO: Final = Size(50_000, 27_000, 2_500_000)
_QUICK: Final = Size(3_000, 1_000, 100_000)
_SWEEPS: Final = (0, 1, BatchSettings().spark_sweeps)
_HEADER: Final = (
    "data", "sample", "interactions an item", "sweeps over all", "NDCG@20", "difference", "95 %"
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status, 0."""
    args = _parser().parse_args(arguments)
    if args.data:
        os.environ["MARQUEE_SHARED_DATA"] = str(args.data)
    rows: list[tuple[str, ...]] = []
    for name in (SCENARIO,) if args.quick else ("ml-1m", SCENARIO):
        weights = interactions(name, _QUICK if args.quick else _SCENARIO)
        if weights is None:
            print(f"{name}: no such data, skipped", file=sys.stderr)
            continue
        rows += _measure(name, weights)
    print_table(_HEADER, rows)
    return 0


def _measure(name: str, weights: sp.csr_matrix) -> list[tuple[str, ...]]:
    """Return the rows of the table; print the figures."""
    train, test = hold_out_items(weights, _SEED)
    n_users, n_items = train.shape
    of_all = _ndcg(_MODEL.fit(train, n_threads=2), train, test)
    about = {"data": name, "users": n_users, "items": n_items, "factors": _N_FACTORS, "seed": _SEED}
    rows: list[tuple[str, ...]] = [
        (name, "all", f"{train.nnz / n_items:.0f}", "", f"{of_all.mean():.4f}", "", "")
    ]
    rng = np.random.default_rng(_SEED)
    for share in _SHARES:
        sample = train[np.flatnonzero(rng.random(n_users) < share)]
        of_sample = _MODEL.fit(sample, n_threads=2)
        for n_sweeps in _SWEEPS:
            fitted, _ = train_on_all(_MODEL, of_sample, _InParts(train), n_sweeps, n_threads=2)
            found = _ndcg(fitted, train, test)
            difference = (found - of_all)[:, None] / of_all.mean()
            ((interval,),) = intervals(difference, np.ones((n_users, 1), np.bool_), seed=_SEED)
            print_figure(
                "sample", "ndcg_at_20", round(float(found.mean()), 5), "1", subject="sample",
                peer="all users", ratio=round(float(found.mean() / of_all.mean()), 4), share=share,
                sweeps_over_all=n_sweeps, ratio_low=round(1 + interval.low, 4),
                ratio_high=round(1 + interval.high, 4), **about,
            )  # fmt: skip
            rows.append((
                name, f"{share:.0%}", f"{sample.nnz / n_items:.0f}", str(n_sweeps),
                f"{found.mean():.4f}", f"{difference.mean():+.2%}",
                f"{interval.low:+.2%} to {interval.high:+.2%}",
            ))  # fmt: skip
    return rows


class _InParts:
    """All users in this process, some at a time; see `AllUsers`."""

    def __init__(self, weights: sp.csr_matrix) -> None:
        self.n_users: int = weights.shape[0]
        edges = range(0, self.n_users, _PART_USERS)
        self._weights = [weights[first : first + _PART_USERS] for first in edges]
        self._parts: list[SolvedUsers] = []

    @contextmanager
    def solved(self, solve: LeastSquares) -> Iterator["_InParts"]:
        """Solve the users; see `AllUsers.solved`."""
        self._parts = [SolvedUsers.of(weights, solve) for weights in self._weights]
        yield self

    def total(
        self, of_part: Callable[[SolvedUsers], Sums], shapes: Sequence[tuple[int, ...]]
    ) -> Sums:
        """Add up; see `UserPasses.total`."""
        (total,) = total_of(map(of_part, self._parts))
        return total


def _ndcg(fitted: Fitted, train: sp.csr_matrix, test: sp.csr_matrix) -> Doubles:
    """Return (n_users,) NDCG@20, every user folded in."""
    lists = fitted.fold_in(train).top_k(LIST_LENGTH, n_threads=2)
    return per_user(lists.item_rows, test)["ndcg"]


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("sample", __doc__)
    add_data(parser)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK.users:,} generated users")
    return parser


if __name__ == "__main__":
    sys.exit(main())
