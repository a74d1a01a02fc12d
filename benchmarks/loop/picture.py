"""A picture of figures by day: one small plot a figure, one line a subject, as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 340
_HEIGHT: Final = 170
_MARGIN: Final = 44
_COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def picture(figures: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Return an SVG.

    Args:
        figures: Values by day, by subject, by name of the figure.
    """
    subjects = list(next(iter(figures.values())))
    plots = [
        _plot(name, lines, 10 + (number % 2) * (_WIDTH + 20), 40 + (number // 2) * (_HEIGHT + 40))
        for number, (name, lines) in enumerate(figures.items())
    ]
    legend = "".join(
        f'<text x="{10 + 150 * number}" y="20" fill="{_COLORS[number % len(_COLORS)]}">'
        f"■ {escape(subject)}</text>"
        for number, subject in enumerate(subjects)
    )
    height = 40 + -(-len(figures) // 2) * (_HEIGHT + 40)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH + 40} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f"{legend}{''.join(plots)}</svg>\n"
    )


def _plot(name: str, lines: Mapping[str, Sequence[float]], x: int, y: int) -> str:
    values = [value for line in lines.values() for value in line]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    inner = _WIDTH - _MARGIN
    drawn = []
    for number, line in enumerate(lines.values()):
        step = inner / max(len(line) - 1, 1)
        points = " ".join(
            f"{_MARGIN + place * step:.1f},{_HEIGHT * (1 - (value - low) / span):.1f}"
            for place, value in enumerate(line)
        )
        color = _COLORS[number % len(_COLORS)]
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
    n_days = max(len(line) for line in lines.values())
    return (
        f'<g transform="translate({x},{y})"><text x="{_MARGIN}" y="-6">{escape(name)}</text>'
        f'<path d="M{_MARGIN} 0V{_HEIGHT}H{_WIDTH}" fill="none" stroke="#999"/>'
        f'<text x="{_MARGIN - 4}" y="10" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_MARGIN - 4}" y="{_HEIGHT}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 14}" text-anchor="end">generation {n_days}</text>'
        f"{''.join(drawn)}</g>"
    )
