"""Editions of the stream's format, as the service wrote it over the years."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Edition:
    """How lines are written.

    Attributes:
        best_rating: 5 or 10.
        fraction_share: Of the lines of minutes and ratings whose time has milliseconds.
        answer_digits: Of the fraction of a second in an answer's time.
        has_accounts: Whether a new account has a line.
        between_items: In the list of an answer.
        after_items: Between that list and the milliseconds.
        unit: Behind the milliseconds.
    """

    best_rating: int
    fraction_share: float
    answer_digits: int
    has_accounts: bool
    between_items: str
    after_items: str
    unit: str


EDITIONS: Final = {
    "2022": Edition(5, 0.0, 3, False, ", ", ", ", " ms"),
    "2024": Edition(5, 0.0, 9, False, ", ", ", ", " ms"),
    "2026": Edition(10, 0.5, 3, True, ",", ", ", "ms"),
}
