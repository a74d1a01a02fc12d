"""A picture of the figures by users, both axes logarithmic: one small plot a figure, as SVG.

Dots are measured sizes, dashed lines the model, far beyond them.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 340
_HEIGHT: Final = 190
_LEFT: Final = 52
_GAP: Final = 44
_LINE: Final = "#0072b2"
_DOT: Final = "#d55e00"
_DASHED: Final = f'stroke="{_LINE}" stroke-width="2" stroke-dasharray="6 4"'


class Curve(NamedTuple):
    """One figure by users.

    Attributes:
        name: Name of the figure, with its unit.
        line: (users, value) of the model, by ascending users.
        dots: (users, value) that were measured.
    """

    name: str
    line: Sequence[tuple[float, float]]
    dots: Sequence[tuple[float, float]] = ()


def picture(curves: Sequence[Curve]) -> str:
    """Return an SVG of curves whose values are above 0."""
    plots = [
        _plot(curve, 10 + (number % 2) * (_WIDTH + 30), 30 + (number // 2) * (_HEIGHT + _GAP))
        for number, curve in enumerate(curves)
    ]
    height = 50 + -(-len(curves) // 2) * (_HEIGHT + _GAP)
    legend = (
        f'<circle cx="{10 + _LEFT}" cy="{height - 16}" r="3.5" fill="{_DOT}"/>'
        f'<text x="{20 + _LEFT}" y="{height - 12}">measured</text>'
        f'<path d="M{100 + _LEFT} {height - 16}h30" {_DASHED}/>'
        f'<text x="{136 + _LEFT}" y="{height - 12}">extrapolated; cost at assumed prices</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH + 60} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(plots)}{legend}</svg>\n"
    )


def _plot(curve: Curve, left: int, top: int) -> str:
    points = [*curve.line, *curve.dots]
    across, up = _Axis.of([x for x, _ in points]), _Axis.of([y for _, y in points])

    def at(x: float, y: float) -> tuple[float, float]:
        width = _WIDTH - _LEFT
        return _LEFT + across.share(x) * width, _HEIGHT - up.share(y) * _HEIGHT

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in curve.line))
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_DOT}"/>'
        for x, y in (at(*point) for point in curve.dots)
    )
    grid = "".join(
        f'<path d="M{_LEFT} {y:.1f}H{_WIDTH}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
        for value in up.decades
        for y in [at(across.decades[0], value)[1]]
    ) + "".join(
        f'<text x="{at(value, up.decades[0])[0]:.1f}" y="{_HEIGHT + 16}" text-anchor="middle">'
        f"{_short(value)}</text>"
        for value in across.decades
    )
    return (
        f'<g transform="translate({left},{top})">'
        f'<text x="{_LEFT}" y="-8">{escape(curve.name)}</text>{grid}'
        f'<path d="M{_LEFT} 0V{_HEIGHT}H{_WIDTH}" fill="none" stroke="#999"/>'
        f'<polyline points="{path}" fill="none" {_DASHED}/>{dots}</g>'
    )


class _Axis(NamedTuple):
    """A logarithmic axis of whole decades."""

    low: int
    high: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Axis":
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1))

    @property
    def decades(self) -> list[float]:
        return [10.0**exponent for exponent in range(self.low, self.high + 1)]

    def share(self, value: float) -> float:
        return (math.log10(value) - self.low) / (self.high - self.low)


def _short(value: float) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:g}"
