"""Print a table, and a line for each figure."""

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import benchmarks.freshness
from batch.evaluation.bootstrap import Interval
from benchmarks.freshness.hours import Comparison, HoursOptions, compare_hours
from benchmarks.freshness.lag import LagOptions, measure_lag
from benchmarks.harness.arguments import (
    make_parser,
    non_negative_int,
    positive_float,
    positive_int,
)
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table

_QUICK: Final = {"users": 4_000, "items": 600, "evaluated": 300, "segments": 20, "views": 300}
_SIZES: Final = {
    "users": (50_000, "users of the world"),
    "items": (5_000, "items of the world"),
    "evaluated": (1_000, "maximum users whose lists are compared, new and known each"),
    "segments": (60, "segments of new views, one a second"),
    "views": (1_000, "new views in each segment"),
}
_EXAMPLE: Final = """example:
  python -m benchmarks.freshness --quick
  python -m benchmarks.freshness --users 100000 --items 10000
  python -m benchmarks.freshness --hours 2 --quick
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, and a line for each figure."""
    args = _parser().parse_args(arguments)
    if args.quick:
        vars(args).update(_QUICK)
    try:
        with tempfile.TemporaryDirectory() as folder:
            (_print_hours if args.hours else _print_lag)(args, Path(folder))
    except BenchmarkError as error:
        print(f"freshness: {error}", file=sys.stderr)
        return 1
    return 0


def _print_lag(args: argparse.Namespace, folder: Path) -> None:
    options = LagOptions(
        args.users, args.items, args.evaluated, args.segments, args.views, args.model, args.seed
    )
    seconds, uplifts = measure_lag(options, folder)
    about = {name: getattr(args, name) for name in (*_SIZES, "model", "seed")}
    rows: list[Sequence[str]] = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        value = float(np.quantile(seconds, share))
        _print(f"seconds_{name}", value, "s", about | {"lists": len(seconds)})
        rows.append((f"event to list, {name}", f"{value:.2f} s", "", ""))
    for group, uplift in uplifts.items():
        gain = uplift.after - uplift.before
        metric = "uplift_gain" if group == "all" else f"uplift_gain_{group}"
        _print(metric, gain, "1", about | {"before": uplift.before, "after": uplift.after})
        figures = (f"{uplift.before:.3f}", f"{uplift.after:.3f}", f"{gain:+.3f}")
        rows.append((f"uplift, {group} users", *figures))
    print_table(("", "snapshot", "fresh", "gain"), rows)


def _print_hours(args: argparse.Namespace, folder: Path) -> None:
    options = HoursOptions(
        args.users, args.items, args.history_views, args.hours, args.requests, args.model, args.seed
    )
    comparisons, n_views = compare_hours(options, folder)
    about = options._asdict() | {"new_views_per_user": round(n_views, 3)}
    for one in comparisons:
        of = {"requests_of": one.name, "requests": one.n_requests}
        for metric, interval in (
            ("uplift", one.uplift),
            ("uplift_without", one.uplift_without),
            ("uplift_gain", one.gain),
            ("uplift_gain_relative", one.relative_gain),
            ("click_through", one.click_through),
            ("click_through_without", one.click_through_without),
        ):
            if math.isfinite(interval.mean):
                edges = {"low": round(interval.low, 4), "high": round(interval.high, 4)}
                _print(metric, interval.mean, "1", about | of | edges)
    print_table(
        ("requests", "n", "uplift without", "uplift", "gain", "clicks without", "clicks"),
        [_row(one) for one in comparisons],
    )
    print(f"{n_views:.2f} views of a user in {args.hours:g} h", file=sys.stderr)


def _row(one: Comparison) -> Sequence[str]:
    relative, gain = one.relative_gain, f"{one.gain.mean:+.3f} "
    if math.isfinite(relative.mean):
        gain += f"= {relative.mean:+.0%} ({relative.low:+.0%} to {relative.high:+.0%})"
    else:
        gain += f"({one.gain.low:+.3f} to {one.gain.high:+.3f})"
    return (
        one.name, f"{one.n_requests:,}", _text(one.uplift_without), _text(one.uplift), gain,
        _text(one.click_through_without), _text(one.click_through),
    )  # fmt: skip


def _text(interval: Interval) -> str:
    if math.isnan(interval.mean):
        return "–"
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _print(metric: str, value: float, unit: str, about: dict[str, Any]) -> None:
    print_figure("freshness", metric, round(value, 4), unit, subject="marquee", **about)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("freshness", benchmarks.freshness.__doc__, _EXAMPLE)
    for name, (default, meaning) in _SIZES.items():
        parser.add_argument(
            f"--{name}", type=positive_int, default=default, metavar="N",
            help=f"{meaning}, default: {default}",
        )  # fmt: skip
    parser.add_argument(
        "--hours", type=positive_float, metavar="N",
        help="compare N simulated hours with the speed layer and without it, instead",
    )  # fmt: skip
    parser.add_argument(
        "--requests", type=positive_float, default=1.0, metavar="N",
        help="requests of a user in such an hour, default: 1",
    )  # fmt: skip
    parser.add_argument(
        "--history-views", type=positive_float, default=6.0, metavar="N",
        help="mean views of a user before these hours, default: 6",
    )  # fmt: skip
    parser.add_argument("--model", default="auto", metavar="MODEL", help="default: auto")
    parser.add_argument("--seed", type=non_negative_int, default=42, metavar="N", help="seed")
    parser.add_argument("--quick", action="store_true", help="a small world, under two minutes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
