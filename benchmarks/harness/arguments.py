"""Types of command-line arguments, each refused with what it should be, and options in common."""

import argparse
import math
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

_LAST_PORT: Final = 65_535


def positive_int(text: str) -> int:
    """Return a whole number from 1."""
    return _whole_number(text, minimum=1)


def non_negative_int(text: str) -> int:
    """Return a whole number from 0."""
    return _whole_number(text, minimum=0)


def port(text: str) -> int:
    """Return a TCP port, or 0 for a free one."""
    if not _is_whole_number(text) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)


def positive_float(text: str) -> float:
    """Return a finite number above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def share(text: str) -> float:
    """Return a number between 0 and 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, not {text!r}")
    return value


def mean_views(text: str) -> float:
    """Return a mean number of views of users who have at least one each."""
    value = _number(text)
    if not 1 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be above 1 because every user has at least one view, not {text!r}"
        )
    return value


def some_of(names: Collection[str], kind: str) -> Callable[[str], list[str]]:
    """Return the type of a comma-separated list of known names.

    Args:
        names: Names that exist.
        kind: Noun for one of them, as "subject".
    """

    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(names):
            raise argparse.ArgumentTypeError(f"no such {kind}: {', '.join(sorted(unknown))}")
        return chosen

    return read


def make_parser(name: str, description: str | None, epilog: str = "") -> argparse.ArgumentParser:
    """Return the parser of `python -m benchmarks.NAME`; its texts keep their line breaks."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the option `--data`, the folder of real data sets."""
    default = os.environ.get("MARQUEE_SHARED_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        default=Path(default) if default else None,
        help="folder of the real data sets; default: MARQUEE_SHARED_DATA",
    )


def _whole_number(text: str, minimum: int) -> int:
    if not _is_whole_number(text) or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"must be a whole number from {minimum}, not {text!r}")
    return int(text)


def _is_whole_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
