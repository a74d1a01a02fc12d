"""Types of command-line arguments, each refused with what it should be; renamed options."""

import argparse
import math
from typing import Any, Final, Never

_MAX_PORT: Final = 65_535


def positive_int(text: str) -> int:
    """Return a whole number from 1."""
    return _whole_number(text, minimum=1)


def non_negative_int(text: str) -> int:
    """Return a whole number from 0."""
    return _whole_number(text, minimum=0)


def port(text: str) -> int:
    """Return a TCP port, or 0 for a free one."""
    if not _is_whole_number(text) or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to {_MAX_PORT}, not {text!r}")
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


def add_renamed_option(parser: argparse.ArgumentParser, old: str, new: str) -> None:
    """Add a hidden option that is refused with an error that names the new one."""
    parser.add_argument(
        old, nargs="?", action=_RenamedOption, new=new, default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )  # fmt: skip


class _RenamedOption(argparse.Action):
    def __init__(self, *arguments: Any, new: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._new = new

    def __call__(
        self, parser: argparse.ArgumentParser, _given: argparse.Namespace, _value: object,
        option_string: str | None = None,
    ) -> Never:  # fmt: skip
        parser.error(f"{option_string}: renamed; use {self._new}")


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
