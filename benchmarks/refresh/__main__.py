"""Time a whole refresh, stage by stage, in a process of its own.

python -m benchmarks.refresh --events views.tsv.gz --catalogue movies.jsonl.gz --models als
python -m benchmarks.refresh --users 1000000 --items 27000 --views 50000000 --models als auto
python -m benchmarks.refresh --growth --users 100000 --items 10000 --views 5000000
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from batch.settings import MODELS
from benchmarks.harness.arguments import make_parser, non_negative_int, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.refresh.growth import measure_growth
from benchmarks.refresh.nights import Size, two_nights
from benchmarks.refresh.timed import DEFAULT_MODEL, Timed, print_stages, time_refresh

_INPUTS = ("events", "catalogue", "profiles")
_QUICK = Size(20_000, 2_000, 400_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh from files or from a generated service, and print time and memory."""
    args = _parse(arguments)
    n_cpus = len(os.sched_getaffinity(0))
    size = _QUICK if args.quick else Size(args.users, args.items, args.views)
    if args.events:
        inputs = [
            part for name in _INPUTS if vars(args)[name]
            for part in (f"--{name}", *vars(args)[name])
        ]  # fmt: skip
        for model in args.models:
            with tempfile.TemporaryDirectory() as store:
                timed = time_refresh(Path(store), inputs, model)
            print_stages("marquee", timed, model=model, n_cpus=n_cpus)
    elif args.growth:
        measure_growth(size, args.seed)
    else:
        found = two_nights(size, args.seed, args.models)
        for model, nights in zip(args.models, found, strict=True):
            for night, timed in nights._asdict().items():
                print_stages(night, timed, model=model, n_cpus=n_cpus, seed=args.seed)
                _print_ratio(night, model, timed, args.models[0], getattr(found[0], night))
    return 0


def _print_ratio(night: str, model: str, timed: Timed, base: str, other: Timed) -> None:
    """Print what a refresh takes beside that of the first model, without the search."""
    if model == base:
        return
    seconds, others = (one.seconds - one.summary["seconds"]["choose"] for one in (timed, other))
    print_figure(
        "refresh", "ratio_without_choice", round(seconds / others, 3), "",
        subject=night, model=model, peer=base,
    )  # fmt: skip


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("refresh", __doc__)
    for name in _INPUTS:
        parser.add_argument(f"--{name}", nargs="+", action="extend", metavar="PATH")
    for name, default in (("users", 1_000_000), ("items", 27_000), ("views", 50_000_000)):
        parser.add_argument(
            f"--{name}", type=positive_int, default=default, metavar="N",
            help=f"{name} of the generated service, default: {default:,}",
        )  # fmt: skip
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=[DEFAULT_MODEL], metavar="MODEL",
        help="models of the refreshes, in turns; default: auto",
    )  # fmt: skip
    parser.add_argument("--growth", action="store_true", help="double users, items, views in turn")
    parser.add_argument("--quick", action="store_true", help="a small generated service")
    parser.add_argument("--seed", type=non_negative_int, default=42, metavar="N")
    args = parser.parse_args(arguments)
    if args.views < args.users:
        parser.error("--views: fewer than --users; each user has at least one")
    return args


if __name__ == "__main__":
    sys.exit(main())
