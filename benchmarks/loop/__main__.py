"""The feedback loop over 30 generations, with and without the rules that soften it.

python -m benchmarks.loop
python -m benchmarks.loop --generations 10 --rules none cap explore --picture loop.svg
python -m benchmarks.loop --quick

Each generation learns from what users did with the lists of those before. `cap`, `explore` and
`diversity` are rules of `[rules]`, `all` is all three; `none` is the default.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.ceiling.history import HistoryOptions
from benchmarks.harness.arguments import make_parser, non_negative_int, positive_int
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.loop.days import Day, Service
from benchmarks.loop.picture import picture

_RULES: Final = {
    "none": {},
    "cap": {"MARQUEE_RULES_CAP": "0.1"},
    "explore": {
        "MARQUEE_RULES_EXPLORE": "2",
        "MARQUEE_RULES_EXPLORE_TEMPERATURE": "50",
        "MARQUEE_BATCH_N_SPARES": "80",
    },
    "diversity": {"MARQUEE_RULES_DIVERSITY": "0.2"},
}
_ALL: Final = "all"
_QUICK: Final = {"users": 600, "items": 150, "generations": 3}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, and a line for each figure and generation."""
    args = _parser().parse_args(arguments)
    if args.quick:
        vars(args).update(_QUICK)
    rules = {
        **_RULES,
        _ALL: {key: value for rule in _RULES.values() for key, value in rule.items()},
    }
    days: dict[str, list[Day]] = {}
    try:
        for name in args.rules:
            days[name] = _run(args, rules[name], name)
    except BenchmarkError as error:
        print(f"loop: {error}", file=sys.stderr)
        return 1
    figures = {
        figure: {name: [getattr(day, figure) for day in of_rule] for name, of_rule in days.items()}
        for figure in Day._fields
    }
    _print(args, figures)
    if args.picture:
        args.picture.write_text(picture(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("loop", __doc__)
    for name, default in (("users", 3_000), ("items", 600), ("generations", 30)):
        parser.add_argument(
            f"--{name}", type=positive_int, default=default, metavar="N", help=f"default: {default}"
        )
    choices = [*_RULES, _ALL]
    parser.add_argument("--rules", nargs="+", choices=choices, default=["none", _ALL])
    parser.add_argument("--model", default="auto", metavar="MODEL", help="default: auto")
    parser.add_argument("--seed", type=non_negative_int, default=42, metavar="N", help="seed")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="SVG to write")
    parser.add_argument("--quick", action="store_true", help="a small world, 3 generations")
    return parser


def _run(args: argparse.Namespace, rules: dict[str, str], name: str) -> list[Day]:
    options = HistoryOptions(args.users, args.items, 3.0, (1,), 1, args.seed)
    environment = {"MARQUEE_BATCH_MODEL": args.model, "MARQUEE_STORE_KEEP": "2", **rules}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder) / name, options, environment, visit_share=0.5)
        for number, day in enumerate(service.days(args.generations), 1):
            print(f"{name}: generation {number}, uplift {day.uplift:.3f}", file=sys.stderr)
            found.append(day)
    return found


def _print(args: argparse.Namespace, figures: dict[str, dict[str, list[float]]]) -> None:
    about = {name: getattr(args, name) for name in ("users", "items", "model", "seed")}
    rows: list[Sequence[str]] = []
    for figure, lines in figures.items():
        for name, line in lines.items():
            for number, value in enumerate(line, 1):
                print_figure(
                    "loop", figure, round(value, 5), "1", subject="marquee", rules=name,
                    generation=number, **about,
                )  # fmt: skip
            shown = (line[0], line[len(line) // 2], line[-1])
            rows.append((figure, name, *(f"{value:.3f}" for value in shown)))
    print_table(("figure", "rules", "first", "middle", "last"), rows)


if __name__ == "__main__":
    sys.exit(main())
