"""Kinds of command-line arguments of the live simulator."""

import argparse
import math
from typing import Final

_LAST_PORT: Final = 65_535


def positive(text: str) -> float:
    """Return a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return value


def port(text: str) -> int:
    """Return a TCP port, or 0 for a free one."""
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)
