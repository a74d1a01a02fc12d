"""The online figures as a table for a terminal, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.online.comparison import MetricChange
from stream.online.figures import COLUMNS, METRICS, OnlineMetric, Sums
from stream.online.interface import InterfaceCounts


@dataclass(frozen=True, slots=True)
class OnlineReport:
    """Figures of a span of time.

    Attributes:
        since: Begin of the span by the clock of the events, seconds since 1970.
        until: End of the span.
        closed_until: Time up to which hours do not change any more.
        by: Kind of the labels.
        figures: Sums by label; `all` for all requests.
        suppressed: Labels of too few users, which are not shown.
        interface: Counts of the access log; None without one.
    """

    since: int
    until: int
    closed_until: int
    by: str
    figures: Mapping[str, Sums]
    suppressed: Sequence[str] = ()
    interface: InterfaceCounts | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        interface = self.interface
        return {
            "since": _time(self.since), "until": _time(self.until),
            "closed_until": _time(self.closed_until), "by": self.by,
            "figures": [
                {"label": label, **_sums_as_json(sums)} for label, sums in self.figures.items()
            ],
            "suppressed": list(self.suppressed),
            "interface": interface and {**interface._asdict(), **interface.shares()},
        }  # fmt: skip

    def as_text(self) -> str:
        """Return the report as a table for a terminal."""
        names = [metric.name for metric in METRICS]
        header = [self.by, "requests", *names, *_percentile_names(self.figures)]
        rows = [
            [
                label,
                f"{sums.total('n_requests'):,.0f}",
                *(_with_interval(sums, metric) for metric in METRICS),
                *(f"{value:g}" for value in sums.percentiles().values()),
            ]
            for label, sums in self.figures.items()
        ]
        lines = [f"{_time(self.since)} to {_time(self.until)}", *_table([header, *rows])]
        lines.append("± half of the 95 % interval, by users")
        if self.suppressed:
            lines.append(f"too few users: {', '.join(self.suppressed)}")
        if self.interface:
            shares = self.interface.shares().items()
            kinds = ", ".join(f"{name.replace('_', ' ')} {share:.4%}" for name, share in shares)
            lines.append(f"interface, of {self.interface.n_requests:,} requests: {kinds}")
        return "\n".join(lines)


def changes_as_json(found: Sequence[MetricChange]) -> list[dict[str, Any]]:
    """Return changes as plain data."""
    return [
        {
            "label": one.label, "metric": one.metric,
            "n_before": one.n_before, "n_after": one.n_after,
            **one.change._asdict(), "is_significant": one.is_significant,
        }
        for one in found
    ]  # fmt: skip


def changes_as_text(found: Sequence[MetricChange]) -> str:
    """Return changes as a table for a terminal."""
    rows = [["label", "metric", "before", "after", "difference", "95 % interval", "significant"]]
    for one in found:
        change = one.change
        interval = f"{change.low:.4g} to {change.high:.4g}"
        value = f"{change.after - change.before:+.4g}"
        verdict = "yes" if one.is_significant else "n.s."
        values = _shown(change.before), _shown(change.after)
        rows.append([one.label, one.metric, *values, value, interval, verdict])
    note = "significant at 5 % for all rows together, by users"
    return "\n".join([*_table(rows), note])


def _sums_as_json(sums: Sums) -> dict[str, Any]:
    counted = (name for name in COLUMNS if name.startswith("n_"))
    return {
        **{name: round(sums.total(name)) for name in counted},
        **{metric.name: sums.value(metric) for metric in METRICS},
        "intervals": {metric.name: sums.interval(metric) for metric in METRICS},
        "latency": sums.percentiles(),
    }


def _percentile_names(figures: Mapping[str, Sums]) -> list[str]:
    return list(next((sums.percentiles() for sums in figures.values()), {}))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _with_interval(sums: Sums, metric: OnlineMetric) -> str:
    interval = sums.interval(metric)
    margin = f" ±{(interval[1] - interval[0]) / 2:.2g}" if interval else ""
    return _shown(sums.value(metric)) + margin


def _time(second: int) -> str:
    return str(np.datetime64(second, "s"))


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()
