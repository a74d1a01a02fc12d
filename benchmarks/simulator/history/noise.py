"""Noise: lines broken in all ways that were seen or are likely, each at its own rate.

Some broken lines still parse: a user or an item that does not exist, a
rating outside the scale, a time of 1970. A later stage must reject them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# The kinds, and their proportions where one rate is given for all; foreign
# characters are the most frequent, as in the real log (one line in 1,500 to 3,400).
KINDS: Final[Mapping[str, float]] = {
    "foreign": 0.40,  # one foreign character anywhere
    "item": 0.10,  # the item replaced by random characters
    "minute": 0.05,  # a minute that no film has
    "rating": 0.05,  # a rating outside the scale
    "number": 0.05,  # a rating that is not a whole number
    "truncated": 0.10,
    "joined": 0.05,  # two lines without an end between them
    "fields": 0.05,  # a field too many
    "time": 0.05,  # a time of 1970, or of the future
    "date": 0.05,  # a date that does not exist
    "encoding": 0.05,
    "schema": 0.05,  # the same event in an unknown form
    "duplicate": 0.05,
    "late": 0.05,  # behind newer lines
    "blank": 0.05,
}


@dataclass(frozen=True, slots=True)
class Noise:
    """What breaks, and how often.

    Attributes:
        rates: Share of broken lines by kind, among the lines that the kind can break.
        line_end: End of every line.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    line_end: bytes = b"\n"

    @classmethod
    def overall(cls, share: float, line_end: bytes = b"\n", **rates: float) -> "Noise":
        """Return noise that breaks a share of the lines in all ways; `rates` override kinds."""
        total = sum(KINDS.values())
        typical = {kind: share * weight / total for kind, weight in KINDS.items()}
        return cls({k: rate for k, rate in {**typical, **rates}.items() if rate > 0}, line_end)
