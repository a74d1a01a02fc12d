"""Formats of the event log: each edition as the service wrote it over the years."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LogFormat:
    """How lines of one edition are written.

    Attributes:
        best_rating: Highest rating, 5 or 10.
        fraction_share: Share of the lines of minutes and ratings whose time has milliseconds.
        answer_digits: Number of digits of the fraction of a second in an answer's time.
        has_accounts: Whether a new account is logged.
        between_items: Separator of the items of an answer.
        after_items: Separator between the items and the milliseconds.
        unit: Text behind the milliseconds.
    """

    best_rating: int
    fraction_share: float
    answer_digits: int
    has_accounts: bool
    between_items: str
    after_items: str
    unit: str


LOG_FORMATS: Final = {
    "2022": LogFormat(5, 0.0, 3, False, ", ", ", ", " ms"),
    "2024": LogFormat(5, 0.0, 9, False, ", ", ", ", " ms"),
    "2026": LogFormat(10, 0.5, 3, True, ",", ", ", "ms"),
}
