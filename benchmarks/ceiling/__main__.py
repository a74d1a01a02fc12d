"""The ceiling of lists in a simulated world, and the share of it that the models reach.

python -m benchmarks.ceiling
python -m benchmarks.ceiling --users 20000 --items 2000 --models auto als popularity
python -m benchmarks.ceiling --quick

The ceiling is the best list that can be made of a user's views: by an oracle who has every
item's true tastes and popularity, the model by which users choose, and the distribution of
tastes among users. It infers the user's taste from the same views, without stars or minutes.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from batch.evaluation.bootstrap import Interval
from batch.interactions.weights import Weighting
from batch.settings import MODELS, BatchSettings
from benchmarks.ceiling.history import History, HistoryOptions, make_history
from benchmarks.ceiling.report import Figures, figures, measured
from benchmarks.ceiling.subjects import CEILING, Subjects
from benchmarks.harness.arguments import make_parser, mean_views, non_negative_int, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.simulator.live.audience.oracle import ListValues, Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen

_HEADER: Final = ("views", "subject", "uplift (95 %)", "of the ceiling", "NDCG@20 (95 %)")
_QUICK: Final = {"users": 2_000, "items": 400, "evaluated": 200}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, and a line for each figure."""
    args = _parser().parse_args(arguments)
    if args.quick:
        vars(args).update(_QUICK)
    settings = BatchSettings(seed=args.seed)
    options = HistoryOptions(
        args.users, args.items, args.views_per_user, args.views, args.evaluated, args.seed
    )
    history = make_history(options, Weighting.from_settings(settings))
    subjects = Subjects(history, args.models, settings)
    rows: list[Sequence[str]] = []
    for n_views in args.views:
        for subject, found in _figures(history, subjects, n_views).items():
            _print_figures(subject, found, n_views, args)
            rows.append(_row(subject, found, n_views))
    print_table(_HEADER, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("ceiling", __doc__)
    for name, default in (("users", 8_000), ("items", 1_000), ("evaluated", 1_000)):
        what = "maximum evaluated users of each number of views" if name == "evaluated" else name
        parser.add_argument(
            f"--{name}", type=positive_int, default=default, metavar="N",
            help=f"{what}, default: {default}",
        )  # fmt: skip
    parser.add_argument(
        "--views", type=positive_int, nargs="+", default=[1, 6, 20], metavar="N",
        help="exact numbers of views of the evaluated users, default: 1 6 20",
    )  # fmt: skip
    parser.add_argument(
        "--views-per-user", type=mean_views, default=6.0, metavar="MEAN",
        help="mean number of views of the other users, default: 6",
    )  # fmt: skip
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=["auto"], metavar="MODEL",
        help=f"models out of {', '.join(MODELS)}, default: auto",
    )  # fmt: skip
    parser.add_argument("--seed", type=non_negative_int, default=42, metavar="N", help="seed")
    parser.add_argument("--quick", action="store_true", help="a small world")
    return parser


def _figures(history: History, subjects: Subjects, n_views: int) -> dict[str, Figures]:
    """Return the figures of all subjects, over users of that number of views."""
    users, world = history.evaluated[n_views], history.world
    weights = history.interactions.weights
    keys = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr)) * weights.shape[1]
    seen = Seen(weights.shape[1], keys + weights.indices)
    oracle = Oracle(Preferences(world), seen, world.items.popularity)
    values: dict[str, ListValues] = {
        name: measured(oracle, users.user_rows, lists)
        for name, lists in subjects.lists(users, seen)
    }
    return figures(values, CEILING)


def _print_figures(subject: str, found: Figures, n_views: int, args: argparse.Namespace) -> None:
    for metric in ("uplift", "of_ceiling", "ndcg"):
        interval: Interval = getattr(found, metric)
        print_figure(
            *("ceiling", metric, round(interval.mean, 5), "1"),
            subject=subject,
            low=round(interval.low, 5),
            high=round(interval.high, 5),
            n_views=n_views,
            n_users=args.users,
            n_items=args.items,
            seed=args.seed,
        )


def _row(subject: str, found: Figures, n_views: int) -> Sequence[str]:
    parts = (found.uplift, found.of_ceiling, found.ndcg)
    return (str(n_views), subject, *(f"{p.mean:.3f} ({p.low:.3f} to {p.high:.3f})" for p in parts))


if __name__ == "__main__":
    sys.exit(main())
