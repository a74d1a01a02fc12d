"""`python -m benchmarks.simulator compare`: statistics of a history beside those of real files."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch.errors import BatchError
from benchmarks.report import print_figure, print_table
from benchmarks.simulator.arguments import non_negative_int, positive_int
from benchmarks.simulator.history.statistics import SAME_PAIRS, Statistics, measure
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world_arguments import world_of

_SIMULATED: Final = "simulated"
_NUMBERS: Final = ("users", "items", "views", "views per user", SAME_PAIRS, "rating, mean")
_EXAMPLE: Final = """\
example:
  python -m benchmarks.simulator compare views.tsv.gz noisy.log ratings.csv"""


def add_compare(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to a parser."""
    verb = verbs.add_parser(
        "compare",
        help="statistics of a generated history beside those of real files",
        description="Print one table: a new or an existing history, and each of the given files "
        "or directories of events.",
        epilog="A recording of some minutes has too few views a user and no full day: ignore these "
        f"rows.\n\n{_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "real", type=Path, nargs="+", metavar="REAL", help="file or directory of events"
    )
    verb.add_argument(
        "--history",
        type=Path,
        metavar="DIR",
        help="output directory of `history`; default: a new history",
    )
    verb.add_argument(
        "--users", type=positive_int, default=60_000, metavar="N", help="default: 60,000"
    )
    verb.add_argument(
        "--items", type=positive_int, default=25_000, metavar="N", help="default: 25,000"
    )
    verb.add_argument("--days", type=positive_int, default=7, metavar="N", help="default: 7")
    verb.add_argument("--seed", type=non_negative_int, default=42, metavar="N", help="default: 42")
    verb.set_defaults(run=_run, random_share=None, views_per_user=None)


def _run(given: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="marquee-compare-") as folder:
        quarantine = Path(folder) / "quarantine"
        try:
            history = given.history or _make_history(given, Path(folder))
            columns = [measure([history / "events"], _SIMULATED, quarantine)]
            columns += [measure([path], path.name, quarantine) for path in given.real]
        except (BatchError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
    _print(columns)
    return 0


def _make_history(given: argparse.Namespace, folder: Path) -> Path:
    write_history(world_of(given), folder / "history", HistoryOptions())
    return folder / "history"


def _print(columns: Sequence[Statistics]) -> None:
    names = dict.fromkeys(name for column in columns for name in column.figures)
    rows = [(name, *(_shown(column.figures.get(name)) for column in columns)) for name in names]
    print_table(("statistic", *(column.name for column in columns)), rows)
    simulated, *real = columns
    for column in real:
        for name, value in column.figures.items():
            if (ours := simulated.figures.get(name)) is not None:
                print_figure(
                    "simulator", name, ours, _unit(name), subject=_SIMULATED, peer=column.name,
                    peer_value=value, ratio=ours / value if value else None,
                )  # fmt: skip


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.4f}"


def _unit(name: str) -> str:
    if name.startswith("minute"):
        return "min"
    return "1" if name in _NUMBERS else "share"
