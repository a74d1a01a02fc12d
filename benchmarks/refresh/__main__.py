"""Time a whole refresh, stage by stage, in a process of its own.

python -m benchmarks.refresh --events views.tsv.gz --catalogue movies.jsonl.gz
python -m benchmarks.refresh --users 1000000 --items 27000 --views 50000000
python -m benchmarks.refresh --growth --users 100000 --items 10000 --views 5000000
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.refresh.growth import measure_growth
from benchmarks.refresh.nights import Size, two_nights
from benchmarks.refresh.timed import show, time_refresh

_INPUTS = ("events", "catalogue", "profiles")
_QUICK = Size(20_000, 2_000, 400_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh what is given, or what is generated, and print what it took."""
    given = _parse(arguments)
    n_cpus = len(os.sched_getaffinity(0))
    size = _QUICK if given.quick else Size(given.users, given.items, given.views)
    if given.events:
        inputs = [
            part for name in _INPUTS if vars(given)[name]
            for part in (f"--{name}", *vars(given)[name])
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as store:
            show("marquee", time_refresh(Path(store), inputs), n_cpus=n_cpus)
    elif given.growth:
        measure_growth(size, given.seed)
    else:
        for night, timed in two_nights(size, given.seed)._asdict().items():
            show(night, timed, n_cpus=n_cpus, seed=given.seed)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.refresh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in _INPUTS:
        parser.add_argument(f"--{name}", nargs="+", action="extend", metavar="PATH")
    for name, what in (("users", 1_000_000), ("items", 27_000), ("views", 50_000_000)):
        parser.add_argument(
            f"--{name}", type=int, default=what, metavar="N", help=f"generated, default: {what:,}"
        )
    parser.add_argument("--growth", action="store_true", help="double users, items, views in turn")
    parser.add_argument("--quick", action="store_true", help="a small generated service")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="default: 42")
    given = parser.parse_args(arguments)
    if min(given.users, given.items, given.views) < 1 or given.views < given.users:
        parser.error("--users, --items and --views must be at least 1, and views not below users")
    return given


if __name__ == "__main__":
    sys.exit(main())
