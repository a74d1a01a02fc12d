"""Output of the verbs: tables for people and JSON for programs.

Every verb that prints a result takes `--json`, and passes both forms to `report`.
Diagnostics go to standard error.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from store.pointer import current

Cells = Sequence[object]

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))  # seconds in each


def say(text: str) -> None:
    """Print one line; replace the characters that cannot be encoded."""
    sys.stdout.write(text.encode(errors="replace").decode() + "\n")  # argv may not be UTF-8


def remark(text: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"store: {text}\n")


def say_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    sys.stdout.write(json.dumps(value) + "\n")


def report(options: argparse.Namespace, value: Any, lines: Iterable[str]) -> None:
    """Print `value` as JSON with `--json`, else the lines."""
    if options.json:
        say_json(value)
        return
    for line in lines:
        say(line)


def table(head: Cells, rows: Iterable[Cells]) -> Iterable[str]:
    """Return aligned lines under a heading; numbers are right-aligned."""
    cells = [head, *rows]
    widths = [max(len(_text(cell)) for cell in column) for column in zip(*cells, strict=True)]
    numbers = [all(isinstance(c, int | float) for c in column) for column in _columns(cells[1:])]
    for row in cells:
        padded = (
            _text(cell).rjust(width) if is_number else _text(cell).ljust(width)
            for cell, width, is_number in zip(
                row, widths, numbers or [False] * len(row), strict=True
            )
        )
        yield "  ".join(padded).rstrip()


def age(seconds: float) -> str:
    """Return a time span in its largest unit: `3 h`, `12 d`."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def add_json(verb: argparse.ArgumentParser) -> None:
    """Add the option `--json` to a verb."""
    verb.add_argument("--json", action="store_true", help="print JSON")


def add_generation(verb: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """Add the option `--generation` to a verb."""
    verb.add_argument("--generation", type=int, metavar="N", help="default: the current one")


def add_why(verb: argparse.ArgumentParser) -> None:
    """Add the required option `--why` to a verb."""
    verb.add_argument("--why", required=True, help="reason, for the journal")


def count(text: str) -> int:
    """Parse an option that is a count of at least 1.

    Raises:
        ArgumentTypeError, ValueError: It is less, or not a number.
    """
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def seconds(text: str) -> float:
    """Parse an option that is a number of seconds.

    Raises:
        ArgumentTypeError, ValueError: It is not above 0, not finite, or not a number.
    """
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return number


def requested_generation(store: Path, options: argparse.Namespace) -> int:
    """Return the generation of `--generation`, or the current one without that option.

    Raises:
        NoSnapshotError: The option is missing, and nothing is current.
    """
    return current(store) if options.generation is None else int(options.generation)


def _columns(rows: Sequence[Cells]) -> Iterable[Sequence[object]]:
    return zip(*rows, strict=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
