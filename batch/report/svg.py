"""Drawings as inline SVG, each with a title and a description for screen readers.

All are 360 wide, which is the width of a phone, and take their colours from the page's classes:
`mark`, `soft`, `grid`, and text in the colour of the page.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 360
_LEFT: Final = 118  # of labels
_RIGHT: Final = 62  # of values
_ROW: Final = 24
_MILLION: Final = 1_000_000
_MAX_LABEL: Final = 17
_MIN_RANGE: Final = 0.02  # share of the largest value: less is drawn nearly flat
_MAX_TICKS: Final = 6
_STEPS: Final = tuple(n * 10.0**power for power in range(-12, 10) for n in (1, 2, 5))


class Dot(NamedTuple):
    """A mean with its interval.

    Attributes:
        label: Name.
        mean: Mean.
        low: Lower end of the interval.
        high: Upper end.
    """

    label: str
    mean: float
    low: float
    high: float


def dot_whisker(dots: Sequence[Dot], title: str) -> str:
    """Return means as dots and intervals as whiskers, a row each; the first is emphasised."""
    low, high = min(0.0, *(d.low for d in dots)), max(*(d.high for d in dots), 1e-9)
    x = _scale(low, high, _LEFT, _WIDTH - _RIGHT)
    parts = [_line(x(0.0), 0, x(0.0), _ROW * len(dots), "grid")]
    for row, dot in enumerate(dots):
        y, kind = _ROW * (row + 0.5), "mark" if row == 0 else "soft"
        parts += [
            _label(dot.label, y),
            _line(x(dot.low), y, x(dot.high), y, f"whisker {kind}"),
            f'<circle class="{kind}" cx="{x(dot.mean):.1f}" cy="{y:g}" r="5"/>',
            _value(f"{dot.mean:.4f}", y),
        ]
    described = "; ".join(f"{d.label} {d.mean:.4f}, {d.low:.4f} to {d.high:.4f}" for d in dots)
    return _svg(parts, _ROW * len(dots), title, described)


def bars(rows: Sequence[tuple[str, float, str]], title: str, whole: float = 0) -> str:
    """Return horizontal bars from label, value and the value as text.

    Args:
        rows: Label, value and the value as text of each bar.
        title: Title.
        whole: Value of the longest bar possible; 0: the largest of the rows.
    """
    longest = whole or max((value for _, value, _ in rows), default=0) or 1
    x = _scale(0.0, longest, 0, _WIDTH - _LEFT - _RIGHT)
    parts = []
    for row, (label, value, text) in enumerate(rows):
        y = _ROW * (row + 0.5)
        width = max(x(value), 1.0) if value else 0.0
        parts += [
            _label(label, y),
            f'<rect class="mark" x="{_LEFT}" y="{y - 7:g}" width="{width:.1f}" height="14"/>',
            _value(text, y),
        ]
    return _svg(parts, _ROW * len(rows), title, "; ".join(f"{r[0]} {r[2]}" for r in rows))


def histogram(counts: Sequence[int], title: str) -> str:
    """Return vertical bars of users by a number from 0 on."""
    height, most = 110, max(*counts, 1)
    step = (_WIDTH - 10) / len(counts)
    parts = [_line(5, height, _WIDTH - 5, height, "grid")]
    for number, n in enumerate(counts):
        tall = (height - 18) * n / most
        left = 5 + step * number
        parts.append(
            f'<rect class="mark" x="{left + 1:.1f}" y="{height - tall:.1f}" '
            f'width="{step - 2:.1f}" height="{tall:.1f}"/>'
        )
        if number % 5 == 0:
            parts.append(_text(str(number), left + step / 2, height + 16, "middle"))
    described = "; ".join(f"{number}: {n:,}" for number, n in enumerate(counts) if n)
    return _svg(parts, height + 24, title, described)


def curve(points: Sequence[tuple[float, float]], title: str, names: tuple[str, str]) -> str:
    """Return a curve of shares, from 0 to 1 both ways, with the diagonal.

    Args:
        points: Shares along and shares up, ascending.
        title: Title.
        names: What the shares along and the shares up are of, in the plural.
    """
    height, left, right = 220, 44, _WIDTH - 22
    x, y = _scale(0, 1, left, right), _scale(0, 1, height - 40, 12)
    path = " ".join(f"{x(along):.1f},{y(up):.1f}" for along, up in points)
    parts = [_line(x(0), y(0), x(1), y(1), "grid")]
    for part in (0, 0.5, 1):
        parts += [
            _line(x(0), y(part), x(1), y(part), "grid"),
            _text(f"{part:.0%}", left - 6, y(part) + 4, "end"),
            _text(f"{part:.0%}", x(part), height - 22, "middle"),
        ]
    parts += [
        f'<polyline class="trend" points="{path}"/>',
        _text(f"share of the {names[0]}", (left + right) / 2, height - 4, "middle"),
        _text(f"share of the {names[1]}", right - 4, y(0) - 8, "end"),
    ]
    described = "; ".join(
        f"{a:.1%} of the {names[0]}: {u:.1%} of the {names[1]}" for a, u in points
    )
    return _svg(parts, height, title, described)


def line_chart(points: Sequence[tuple[float, float]], title: str, names: tuple[str, str]) -> str:
    """Return values over a number, on an axis that shows where they change.

    Args:
        points: Numbers along and values up, ascending; at least one.
        title: Title.
        names: Names of the axes.
    """
    height, left, right = 220, 52, _WIDTH - 12
    values = [value for _, value in points]
    middle = (max(values) + min(values)) / 2
    half = 0.6 * max(max(values) - min(values), _MIN_RANGE * max(values), 1e-9)
    low, high = middle - half, middle + half
    x, y = _scale(0, points[-1][0], left, right), _scale(low, high, height - 44, 24)
    parts = [_text(names[1], 0, 12, "start")]
    for tick in _ticks(low, high):
        parts += [
            _line(left, y(tick), right, y(tick), "grid"),
            _text(f"{tick:g}", left - 6, y(tick) + 4, "end"),
        ]
    ticks = _ticks(0, points[-1][0])
    parts += [_text(f"{tick:g}", x(tick), height - 26, "middle") for tick in ticks]
    path = " ".join(f"{x(along):.1f},{y(up):.1f}" for along, up in points)
    parts += [
        _text(names[0], (left + right) / 2, height - 6, "middle"),
        f'<polyline class="trend" points="{path}"/>',
        *(
            f'<circle class="mark" cx="{x(along):.1f}" cy="{y(up):.1f}" r="3"/>'
            for along, up in points
        ),
    ]
    described = "; ".join(f"{along:g}: {up:.4f}" for along, up in points)
    return _svg(parts, height, title, f"{names[1]} by {names[0]}: {described}")


def trends(series: Mapping[str, Sequence[float | None]], title: str, unit: str) -> str:
    """Return series, each on a scale of its own from 0, one above the other.

    Args:
        series: Values by name, in order; None where there is none.
        title: Title.
        unit: Plural of what the values are of, as in `generations`.
    """
    tall, parts, described = 46, [], []
    for row, (name, values) in enumerate(series.items()):
        found = [(place, value) for place, value in enumerate(values) if value is not None]
        base = tall * (row + 1) - 8
        parts += [_line(_LEFT, base, _WIDTH - _RIGHT, base, "grid"), _label(name, base - 14)]
        if not found:
            parts.append(_value("unknown", base - 14))
            continue
        x = _scale(0, max(len(values) - 1, 1), _LEFT + 5, _WIDTH - _RIGHT - 5)
        y = _scale(0, max(value for _, value in found) or 1, base, base - tall + 16)
        points = [(x(place), y(value)) for place, value in found]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        last = _short(found[-1][1])
        parts += [
            f'<polyline class="trend" points="{path}"/>',
            f'<circle class="mark" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="4"/>',
            _value(last, base - 14),
        ]
        first = _short(found[0][1])
        described.append(f"{name}: {first} to {last} over {len(found)} {unit}")
    return _svg(parts, tall * len(series), title, "; ".join(described) or "unknown")


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers between two others."""
    step = next(step for step in _STEPS if (high - low) / step <= _MAX_TICKS)
    return [step * number for number in range(math.ceil(low / step), int(high / step) + 1)]


def _svg(parts: Sequence[str], height: float, title: str, described: str) -> str:
    number = zlib.crc32(title.encode())  # the same in each rendering
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH} {height:g}" '
        f'aria-labelledby="t{number} d{number}"><title id="t{number}">{escape(title)}</title>'
        f'<desc id="d{number}">{escape(described)}</desc>{"".join(parts)}</svg>'
    )


def _short(value: float) -> str:
    if value >= _MILLION:
        return f"{value / _MILLION:,.2f} M"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start)


def _label(text: str, y: float) -> str:
    shown = text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"
    return _text(shown, _LEFT - 8, y + 4, "end")


def _value(text: str, y: float) -> str:
    return _text(text, _WIDTH, y + 4, "end")


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
