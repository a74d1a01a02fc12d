"""What a refresh and its service take, and what that costs: measured, fitted, extrapolated.

python -m benchmarks.sizing --record sizing.jsonl
python -m benchmarks.sizing --measured sizing.jsonl --core-month 30 --views-per-user 50
python -m benchmarks.sizing --quick

Every size is generated, refreshed cold without a second stage, pushed to a directory and served
by one worker. `als` is measured on large sizes, the search of `auto` on smaller ones; what both
have in common is fitted to all of them. `--measured` uses recorded sizes, at other prices. The
plans are for `auto`, from the figures of `als`; `costs.py` says what they assume.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch.capacity.needs import needed_memory
from batch.capacity.sizes import DataSize
from batch.settings import BatchSettings
from benchmarks.harness.arguments import (
    make_parser,
    non_negative_int,
    positive_float,
    positive_int,
)
from benchmarks.harness.errors import BenchmarkError
from benchmarks.sizing.costs import Prices, costs
from benchmarks.sizing.fit import Model, figures_of, fit
from benchmarks.sizing.measure import Measured, Shape, measure
from benchmarks.sizing.picture import Curve, picture
from benchmarks.sizing.tables import Plan, print_coefficients, print_errors, print_plans

_SHAPES: Final = (
    Shape(25_000, 20_000, 2_000_000, "als"),
    Shape(50_000, 5_000, 2_000_000, "als"),
    Shape(200_000, 5_000, 2_000_000, "als"),
    Shape(100_000, 10_000, 5_000_000, "als", is_rated=False),
    Shape(100_000, 10_000, 5_000_000, "als"),
    Shape(150_000, 8_000, 6_000_000, "als", is_held_out=True),
    Shape(20_000, 2_000, 500_000, "auto"),
    Shape(50_000, 5_000, 1_000_000, "auto"),
    Shape(20_000, 8_000, 400_000, "auto"),
    Shape(40_000, 4_000, 700_000, "auto", is_held_out=True),
)
_QUICK: Final = (
    Shape(400, 100, 4_000, "als"),
    Shape(800, 100, 8_000, "als"),
    Shape(600, 150, 6_000, "als", is_held_out=True),
)
_PLANNED: Final = "als"  # measured on the largest sizes
_USERS: Final = tuple(10**exponent for exponent in range(6, 10))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or read the sizes, fit, print tables and figures; return the exit status."""
    args = _parse(arguments)
    try:
        sizes = _read(args.measured) if args.measured else _measure(args)
        models = _fit(sizes)
    except BenchmarkError as error:
        print(f"sizing: {error}", file=sys.stderr)
        return 1
    print_errors(models, sizes, args.seed)
    for name, model in models.items():
        print_coefficients(name, model)
    plans = [_plan(models[_PLANNED], n_users, args) for n_users in args.users]
    print_plans(plans)
    if args.picture:
        args.picture.write_text(picture(_curves(plans, sizes)))
    return 0


def _measure(args: argparse.Namespace) -> list[Measured]:
    """Measure all sizes, and record each as soon as it is measured."""
    sizes = []
    for shape in _QUICK if args.quick else _SHAPES:
        found = measure(shape, args.seed, args.seconds)
        sizes.append(found)
        if args.record:
            with args.record.open("a") as file:
                file.write(f"{found.as_json()}\n")
    return sizes


def _read(file: Path) -> list[Measured]:
    """Return the recorded sizes.

    Raises:
        BenchmarkError: The file cannot be read, or has other lines.
    """
    try:
        return [Measured.from_json(line) for line in file.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise BenchmarkError(file, f"cannot be read: {error}", "record it with --record") from error


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


def _plan(model: Model, n_users: int, args: argparse.Namespace) -> Plan:
    """Return what a service takes, by the model's figures and the prices of the options."""
    views = n_users * args.views_per_user
    size = DataSize(n_users, args.items, round(views), round(views * args.ratings_per_view))
    prices = Prices(
        **{field.name: getattr(args, field.name) for field in dataclasses.fields(Prices)}
    )
    # few sizes say less of memory far beyond them than the forecast, checked on a large one
    memory = needed_memory(size, BatchSettings()) / (1 << 20)
    return Plan(size, costs(model.figures(size) | {"peak_mib": memory}, n_users, prices))


def _curves(plans: Sequence[Plan], sizes: Sequence[Measured]) -> list[Curve]:
    """Return the figures of the plans, and the measured ones of any items and views."""
    measured = [(one.size.users, figures_of(one)) for one in sizes]
    gib = 1 / (1 << 30)
    dots = {
        "memory_gib": [(n, found["peak_mib"] / 1024) for n, found in measured],
        "core_hours": [(n, found["nightly_seconds"] / 3600) for n, found in measured],
        "snapshot_gib": [(n, found["snapshot_bytes"] * gib) for n, found in measured],
        "cost_month": [],
    }
    names = {
        "memory_gib": "memory of one machine, GiB",
        "core_hours": "processor time of a night, hours",
        "snapshot_gib": "snapshot, GiB",
        "cost_month": "cost of a month",
    }
    return [
        Curve(
            names[name], [(one.size.users, getattr(one.costs, name)) for one in plans], dots[name]
        )
        for name in names
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("sizing", __doc__)
    parser.add_argument("--quick", action="store_true", help="three small sizes, some seconds")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="recorded sizes to use")
    parser.add_argument("--record", type=Path, metavar="FILE", help="file to add the sizes to")
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
