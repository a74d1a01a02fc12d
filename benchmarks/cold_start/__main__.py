"""The cold start against popularity, on users and items whose interactions are hidden.

python -m benchmarks.cold_start --data FOLDER
python -m benchmarks.cold_start --quick

FOLDER holds `ml-100k`, `ml-1m`, `stream` and `api`; what is not there is left out. A
simulated service, whose users say which genres they like, is always there. Real users have said
nothing of the kind: what they like is made up of titles that they have had.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.cold_start.data import Data, real_data, simulated_data
from benchmarks.cold_start.items import cold_items
from benchmarks.cold_start.judged import HEADER
from benchmarks.cold_start.users import cold_users, likes_of_genres, likes_of_titles
from benchmarks.report import print_table

_SEED: Final = 42
_SIMULATED: Final = (20_000, 2_000, 10.0)  # users, items, views a user
_QUICK: Final = (3_000, 400, 10.0)
_SPARSE: Final = "views-290k"  # hardly any of its users has more than one item


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each kind of cold start, and a line for each figure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cold_start",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        default=os.environ.get("MARQUEE_SHARED_DATA"),
        help="with the real files in it; default: MARQUEE_SHARED_DATA",
    )
    parser.add_argument("--quick", action="store_true", help="ML-100k, and a small simulation")
    given = parser.parse_args(arguments)
    tables: dict[str, list[Sequence[str]]] = {"users": [], "likes": [], "items": []}
    for data in _services(given.data, is_quick=given.quick):
        print(f"{data.name}: {data.interactions.weights.shape}", file=sys.stderr, flush=True)
        tables["users"] += cold_users(data, _SEED)
        if any(profile.likes for profile in data.profiles.values()):
            tables["likes"] += likes_of_genres(data, _SEED)
        elif data.name != _SPARSE:
            tables["likes"] += likes_of_titles(data, _SEED)
        tables["items"] += cold_items(data, _SEED)
    for what, rows in tables.items():
        print(f"\nhidden {what}", file=sys.stderr)
        print_table(HEADER, rows)
    return 0


def _services(folder: str | Path | None, *, is_quick: bool) -> Iterator[Data]:
    if folder:
        yield from real_data(Path(folder), is_quick=is_quick)
    yield simulated_data(*(_QUICK if is_quick else _SIMULATED), seed=_SEED)


if __name__ == "__main__":
    raise SystemExit(main())
