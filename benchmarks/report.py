"""How every benchmark speaks: a table for people, one JSON object a figure for programs."""

import json
import platform
import sys
from collections.abc import Sequence
from typing import Any


def print_figure(benchmark: str, metric: str, value: float, unit: str, **beside: Any) -> None:
    """Print one figure on standard output.

    Args:
        benchmark: Its name.
        metric: What was measured.
        value: The figure.
        unit: Of the value: "s", "1/s", "MiB".
        beside: Subject, peer and ratio, inputs, seed, versions.
    """
    figure = {"benchmark": benchmark, "metric": metric, "value": value, "unit": unit, **beside}
    print(json.dumps({**figure, "python": platform.python_version()}), flush=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table on standard error, columns aligned."""
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"| {' | '.join(cells)} |", file=sys.stderr)
