"""What the verbs share: printing tables for people and JSON for programs.

Every verb that reports something takes `--json` and hands its report to
`report` in both forms; diagnostics go to the standard error.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from store.pointer import current

Cells = Sequence[object]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS: Final = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"))


def say(text: str) -> None:
    """Print one line; characters that the terminal cannot show do not stop it."""
    sys.stdout.write(text.encode(errors="replace").decode() + "\n")  # argv need not be UTF-8


def remark(text: str) -> None:
    """Print one line beside the answer, on the standard error."""
    sys.stderr.write(f"store: {text}\n")


def say_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    sys.stdout.write(json.dumps(value) + "\n")


def report(given: argparse.Namespace, value: Any, lines: Iterable[str]) -> None:
    """Print `value` as JSON if that was asked for, else the lines for people."""
    if given.json:
        say_json(value)
        return
    for line in lines:
        say(line)


def table(head: Cells, rows: Iterable[Cells]) -> Iterable[str]:
    """Return aligned lines under a heading; numbers stand to the right."""
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
    """Let a verb take `--json`."""
    verb.add_argument("--json", action="store_true", help="for programs")


def add_generation(verb: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """Let a verb take `--generation`."""
    verb.add_argument("--generation", type=int, metavar="N", help="default: the current")


def add_why(verb: argparse.ArgumentParser) -> None:
    """Make a verb ask for `--why`."""
    verb.add_argument("--why", required=True, help="for the journal")


def count(text: str) -> int:
    """Read an option that counts something: at least 1.

    Raises:
        ArgumentTypeError, ValueError: It is less, or no number.
    """
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def asked(store: Path, given: argparse.Namespace) -> int:
    """Return the generation that was asked for, else the current one.

    Raises:
        NoSnapshotError: None was asked for, and nothing is current.
    """
    return current(store) if given.generation is None else int(given.generation)


def _columns(rows: Sequence[Cells]) -> Iterable[Sequence[object]]:
    return zip(*rows, strict=True)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
