"""Kinds of command-line arguments that verbs share, each refused with what it should be."""

import argparse
import math


def count(text: str) -> int:
    """Return a whole number from 1."""
    return _whole(text, at_least=1)


def seed(text: str) -> int:
    """Return a whole number from 0."""
    return _whole(text, at_least=0)


def share(text: str) -> float:
    """Return a number between 0 and 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, not {text!r}")
    return value


def mean_views(text: str) -> float:
    """Return a mean number of views of users who have one at least."""
    value = _number(text)
    if not 1 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 1, for nobody has none, not {text!r}")
    return value


def _whole(text: str, at_least: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < at_least:
        raise argparse.ArgumentTypeError(f"must be a whole number from {at_least}, not {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
