"""What a refresh and its service take, and what that costs: measured, fitted, extrapolated.

python -m benchmarks.sizing --record sizing.jsonl
python -m benchmarks.sizing --measured sizing.jsonl --core-month 30 --views-per-user 50
python -m benchmarks.sizing --quick

Every size is generated, refreshed cold without a second stage, pushed to a directory and served
by one worker. `als` is measured on large sizes, the search of `auto` on smaller ones; what both
have in common is fitted to all of them. Where PySpark and Java 17 are installed, further sizes are
refreshed by both engines, in shards. `--measured` uses recorded sizes, at other prices. The plans
are for `auto`, from the figures of `als`; `costs.py` says what they assume.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch.capacity.sizes import DataSize
from benchmarks.harness.arguments import (
    make_parser,
    non_negative_int,
    positive_float,
    positive_int,
)
from benchmarks.harness.errors import BenchmarkError, NotInstalledError, check_pyspark
from benchmarks.sizing.costs import Prices
from benchmarks.sizing.fit import Model, fit
from benchmarks.sizing.fit_spark import fit_on_spark
from benchmarks.sizing.measure import Measured
from benchmarks.sizing.picture import picture
from benchmarks.sizing.plans import curves, plan
from benchmarks.sizing.sizes import (
    QUICK_SHAPES,
    SHAPES,
    SPARK_SHAPES,
    Sizes,
    measure_sizes,
    measure_sizes_on_spark,
    read_sizes,
)
from benchmarks.sizing.tables import (
    print_coefficients,
    print_coefficients_on_spark,
    print_errors,
    print_errors_on_spark,
    print_plans,
)

_PLANNED: Final = "als"  # measured on the largest sizes
_USERS: Final = tuple(10**exponent for exponent in range(6, 10))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or read the sizes, fit, print tables and figures; return the exit status."""
    args = _parse(arguments)
    try:
        sizes = _sizes(args)
        models = _fit(sizes.local)
    except BenchmarkError as error:
        print(f"sizing: {error}", file=sys.stderr)
        return 1
    print_errors(models, sizes.local, args.seed)
    for name, model in models.items():
        print_coefficients(name, model)
    fitted = [one for one in sizes.spark if not one.shape.is_held_out]
    spark = fit_on_spark(fitted) if fitted else None
    if spark:
        print_errors_on_spark(spark, sizes.spark, args.seed)
        print_coefficients_on_spark(spark)
    plans = [
        plan(_size(n_users, args), models[_PLANNED], spark, _prices(args)) for n_users in args.users
    ]
    print_plans(plans)
    if args.picture:
        args.picture.write_text(picture(curves(plans, sizes)))
    return 0


def _sizes(args: argparse.Namespace) -> Sizes:
    """Read or measure the sizes; those on Spark are measured where PySpark is installed.

    Raises:
        BenchmarkError: A file of recorded sizes cannot be read, `--spark` has no PySpark, or a
            measurement failed.
    """
    is_on_spark = _is_on_spark(args)
    local, spark = read_sizes(args.measured) if args.measured else (None, [])
    if local is None:
        shapes = QUICK_SHAPES if args.quick else SHAPES
        local = measure_sizes(shapes, args.seed, args.seconds, args.record)
    if is_on_spark:
        shapes = QUICK_SHAPES if args.quick else SPARK_SHAPES
        spark = measure_sizes_on_spark(shapes, args.seed, args.record)
    return Sizes(local, spark)


def _is_on_spark(args: argparse.Namespace) -> bool:
    """Return whether sizes are measured on Spark.

    Raises:
        NotInstalledError: `--spark` is given without PySpark.
    """
    try:
        check_pyspark()
    except NotInstalledError as error:
        if args.spark:
            raise
        if not args.measured:
            print(f"sizing: {error}; Spark is not measured", file=sys.stderr)
        return False
    return args.spark or not args.measured


def _fit(sizes: Sequence[Measured]) -> dict[str, Model]:
    """Return the fitted figures of each model, from the sizes that are not held out.

    Raises:
        BenchmarkError: A model has no such size.
    """
    fitted = [one for one in sizes if not one.shape.is_held_out]
    for name in {_PLANNED, *(one.shape.model for one in sizes)}:
        if name not in {one.shape.model for one in fitted}:
            raise BenchmarkError(name, "has no size that the model can be fitted to")
    return {name: fit(fitted, name) for name in dict.fromkeys(one.shape.model for one in fitted)}


def _size(n_users: int, args: argparse.Namespace) -> DataSize:
    views = n_users * args.views_per_user
    return DataSize(n_users, args.items, round(views), round(views * args.ratings_per_view))


def _prices(args: argparse.Namespace) -> Prices:
    return Prices(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Prices)})


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("sizing", __doc__)
    parser.add_argument(
        "--quick", action="store_true", help="three small sizes: seconds, with Spark minutes"
    )
    parser.add_argument("--measured", type=Path, metavar="FILE", help="recorded sizes to use")
    parser.add_argument("--record", type=Path, metavar="FILE", help="file to add the sizes to")
    parser.add_argument(
        "--spark", action="store_true",
        help="measure Spark, too; default: if PySpark is installed and nothing is recorded",
    )  # fmt: skip
    parser.add_argument("--picture", type=Path, metavar="FILE", help="SVG to write")
    parser.add_argument("--seed", type=non_negative_int, default=42, metavar="N")
    parser.add_argument(
        "--seconds", type=non_negative_int, default=1, metavar="N",
        help="load on each server; 0: not served; default: 1",
    )  # fmt: skip
    parser.add_argument(
        "--users", type=positive_int, nargs="+", default=_USERS, metavar="N",
        help="users of the plans; default: 1 million to 1 billion",
    )  # fmt: skip
    parser.add_argument(
        "--items", type=positive_int, default=100_000, metavar="N", help="default: 100,000"
    )
    for name, default in (("views-per-user", 20.0), ("ratings-per-view", 0.64)):
        parser.add_argument(f"--{name}", type=positive_float, default=default, metavar="X")
    for field in dataclasses.fields(Prices):
        kind = positive_int if isinstance(field.default, int) else float
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=field.default, metavar="X",
            help=f"see benchmarks/sizing/costs.py; default: {field.default:g}",
        )  # fmt: skip
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
