"""Noise: lines broken in every way that was seen or is to be feared, each at its own rate.

Some of what is broken still parses: a user or an item that does not exist, a
rating off the scale, a time of 1970. It must be caught later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# The kinds, and their proportions where one rate is given for all; foreign
# characters are the most, as in the real log (one line in 1,500 to 3,400 there).
KINDS: Final[Mapping[str, float]] = {
    "foreign": 0.40,  # one foreign character anywhere
    "item": 0.10,  # the item replaced by random characters
    "minute": 0.05,  # a minute that no film has
    "rating": 0.05,  # a rating off the scale
    "number": 0.05,  # a rating that is no whole number
    "truncated": 0.10,
    "joined": 0.05,  # two lines without an end between them
    "fields": 0.05,  # a field too many
    "time": 0.05,  # of 1970, or of the future
    "date": 0.05,  # that does not exist
    "encoding": 0.05,
    "schema": 0.05,  # the same event as another edition might write it
    "duplicate": 0.05,
    "late": 0.05,  # behind lines that are younger
    "blank": 0.05,
}


@dataclass(frozen=True, slots=True)
class Noise:
    """What breaks, and how often.

    Attributes:
        rates: By kind, of KINDS; the share of the lines that the kind can break.
        line_end: Of every line.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    line_end: bytes = b"\n"

    @classmethod
    def overall(cls, share: float, line_end: bytes = b"\n", **rates: float) -> "Noise":
        """Return noise of all kinds that breaks a share of the lines, some kinds given apart."""
        total = sum(KINDS.values())
        typical = {kind: share * weight / total for kind, weight in KINDS.items()}
        return cls({k: rate for k, rate in {**typical, **rates}.items() if rate > 0}, line_end)
