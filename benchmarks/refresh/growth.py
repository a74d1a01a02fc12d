"""Growth of a refresh: users, items and views doubled in turn, and the exponent of each.

seconds ~ size ^ exponent,   exponent = log2(seconds of twice the size / seconds)
"""

import math
from collections.abc import Mapping
from typing import Final

from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.refresh.nights import Nights, Size, two_nights

_SIDES: Final = ("users", "items", "views")


def measure_growth(size: Size, seed: int) -> None:
    """Refresh four services and print the exponents of processor time and memory."""
    found = {"": two_nights(size, seed)[0]}
    for side in _SIDES:
        twice = size._replace(**{side: 2 * getattr(size, side)})
        [found[side]] = two_nights(twice, seed)
    rows = []
    for side in _SIDES:
        for night in Nights._fields:
            exponents = _exponents(found, side, night)
            rows.append((side, night, *(f"{value:.2f}" for value in exponents.values())))
            for what, value in exponents.items():
                metric = f"{what}_exponent"
                print_figure(
                    "refresh", metric, round(value, 3), "", subject=night, side=side,
                    seed=seed, **size._asdict(),
                )  # fmt: skip
    print_table(("twice as many", "night", "processor time", "memory"), rows)


def _exponents(found: Mapping[str, Nights], side: str, night: str) -> dict[str, float]:
    once, twice = getattr(found[""], night), getattr(found[side], night)
    return {
        "cpu": math.log2(twice.cpu_seconds / once.cpu_seconds),
        "memory": math.log2(twice.peak_mib / once.peak_mib),
    }
