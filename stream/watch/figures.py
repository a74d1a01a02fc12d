"""A figure: one measured value, with its interval, what is usual, and whether it is an alarm."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Attributes:
        name: What is measured: `drift`, `volume`, `coverage` and so on.
        of: What it is measured of: a field, a type of event, a generation; empty for all.
        value: The value.
        low, high: 95 % interval; None where there is none.
        limit: Value from which it is an alarm; None where there is no limit.
        is_alarm: Whether it is an alarm.
        note: What else there is to say, in words.
    """

    name: str
    of: str
    value: float
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    is_alarm: bool = False
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return an object for JSON."""
        return asdict(self)


def as_text(figures: Sequence[Figure]) -> str:
    """Return a table for a terminal, alarms marked with `!`."""
    rows = []
    for name, group in groupby(figures, lambda figure: figure.name):
        for number, figure in enumerate(group):
            rows.append((name if not number else "", figure))
    widths = [max((len(text) for text in column), default=0) for column in (
        [name for name, _ in rows], [figure.of for _, figure in rows],
    )]  # fmt: skip
    return "\n".join(
        f"{'!' if figure.is_alarm else ' '} {name:{widths[0]}}  {figure.of:{widths[1]}}  "
        f"{_shown(figure)}".rstrip()
        for name, figure in rows
    )


def _shown(figure: Figure) -> str:
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"({as_number(figure.low)} to {as_number(figure.high)})"
    limit = f"limit {as_number(figure.limit)}" if figure.limit is not None else ""
    return f"{as_number(figure.value):>9}  {interval:22}  {limit:12}  {figure.note}"


def as_number(value: float) -> str:
    """Return a value with four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
