"""Single fields of catalogues and profiles, cleaned: a sound value, or None for a missing one.

The APIs answer with null, `{}`, "null", numbers as text or something else
altogether where a field is not known. None of these is an error: the field
is missing, and the entry stands.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

UNREADABLE: Final = "unreadable"  # a time that is none: unlike the rest, it must not pass for open

_MISSING: Final = frozenset(("", "null", "None", "nan", "NaN", "{}"))
_FLAGS: Final = {"true": True, "false": False}


def text(value: object) -> str | None:
    """Return text on one line, blanks at its ends and doubled ones removed."""
    if not isinstance(value, str):
        return None
    line = " ".join(value.split())
    if not line.isascii():  # JSON can smuggle in half a character, which nothing can write
        line = line.encode("utf-8", "ignore").decode("utf-8")
    return None if line in _MISSING else line


def number(value: object) -> float | None:
    """Return a number, given as one or as text; NaN and infinity may come out too."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def flag(value: object) -> bool | None:
    """Return true or false, given as such or as a word in any case."""
    if isinstance(value, bool):
        return value
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def moment(value: object, *, at_end: bool = False) -> str | None:
    """Return an ISO 8601 date or time in UTC, `2026-11-21T00:00:00+00:00`, sortable as text.

    A time without a zone is in UTC. What is given but is no time comes out as `UNREADABLE`.

    Args:
        value: As text.
        at_end: A date without a time stands for its end, not for its beginning.
    """
    if value is None or value == {} or (isinstance(value, str) and text(value) is None):
        return None
    try:
        return _in_utc(value.strip(), at_end) if isinstance(value, str) else UNREADABLE
    except (ValueError, OverflowError):
        return UNREADABLE


def _in_utc(given: str, at_end: bool) -> str:
    try:
        day = date.fromisoformat(given)
    except ValueError:
        at = datetime.fromisoformat(given)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    else:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=at_end)
    return at.isoformat(timespec="seconds")
