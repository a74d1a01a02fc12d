"""A boost as the configuration writes it: `genre:Horror=0.5`; `boost` applies it."""

import math
from dataclasses import dataclass
from typing import Final

_FIELDS: Final = ("item", "genre", "language", "year")


@dataclass(frozen=True, slots=True)
class Boost:
    """One boost.

    Attributes:
        field: Field that is compared: item, genre, language or year.
        value: Value of the field; for a year also a range, "1990-1999".
        factor: Factor on the odds; 0 or less: the item is hidden.
    """

    field: str
    value: str
    factor: float


def parse_boost(text: str) -> Boost:
    """Parse a boost of the configuration.

    Raises:
        ValueError: The text is not a valid boost.
    """
    named, _, number = text.rpartition("=")
    field, _, value = named.partition(":")
    try:
        factor = float(number)
    except ValueError:
        factor = math.nan
    years = value.split("-")
    is_valid = field != "year" or (len(years) <= 2 and all(map(str.isdecimal, years)))
    if field not in _FIELDS or not value or not math.isfinite(factor) or not is_valid:
        fields = ", ".join(_FIELDS)
        raise ValueError(
            f"boosts: {text!r} is not a valid boost; write e.g. genre:Horror=0.5, with one of "
            f"{fields}"
        )
    return Boost(field, value, factor)
