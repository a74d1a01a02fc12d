"""A figure over all looks that are kept, as a row of small bars.

drift  views: item  ▁▁▁▂▁▁▁▁█  1.21   0.01 to 1.21   1 alarm in 9 looks
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from batch.arrays import Doubles
from stream.watch.figures import as_number

_BARS: Final = "▁▂▃▄▅▆▇█"
_N_BARS: Final = 32


class Trend(NamedTuple):
    """One figure over the looks that have it.

    Attributes:
        name: What is measured.
        of: What it is measured of.
        looks: Time `at`, `value`, `low`, `high` and `is_alarm` of each look, oldest first.
    """

    name: str
    of: str
    looks: Sequence[Mapping[str, Any]]


def trends(looks: Iterable[Mapping[str, Any]], name: str) -> list[Trend]:
    """Return the trend of each figure, in the order of their first looks.

    Args:
        looks: Looks as `kept_figures` yields them; of several of one time the last counts.
        name: Name of the figures; empty for all.
    """
    by_time = {look["at"]: look["figures"] for look in looks}
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for at in sorted(by_time):
        for figure in by_time[at]:
            if name in ("", figure["name"]):
                shown = {key: figure[key] for key in ("value", "low", "high", "is_alarm")}
                found.setdefault((figure["name"], figure["of"]), []).append({"at": at, **shown})
    return [Trend(*key, values) for key, values in found.items()]


def trends_as_text(found: Sequence[Trend]) -> str:
    """Return a table for a terminal, a bar for each of the last looks."""
    rows = [(one.name, one.of, _bars(one), *_range(one), _alarms(one)) for one in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _values(trend: Trend) -> Doubles:
    return np.array([look["value"] for look in trend.looks], np.float64)


def _bars(trend: Trend) -> str:
    values = _values(trend)[-_N_BARS:]
    spread = float(np.ptp(values)) or 1.0
    heights = (values - values.min()) / spread * (len(_BARS) - 1)
    return "".join(_BARS[height] for height in np.rint(heights).astype(int).tolist())


def _range(trend: Trend) -> tuple[str, str]:
    values = _values(trend)
    low, high = as_number(float(values.min())), as_number(float(values.max()))
    return as_number(float(values[-1])), f"{low} to {high}"


def _alarms(trend: Trend) -> str:
    n_alarms = sum(bool(look["is_alarm"]) for look in trend.looks)
    return f"{n_alarms} alarm{'' if n_alarms == 1 else 's'} in {len(trend.looks)} looks"
