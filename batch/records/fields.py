"""Single fields of catalogues and profiles, cleaned: a valid value, or None for a missing one.

Where a field is unknown, the APIs answer with null, `{}`, "null", numbers as text or
other values. These are not errors: the field is missing, and the entry is used.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

UNREADABLE: Final = "unreadable"  # an invalid time, which must not count as a missing one

# In databases' dumps, too: \N of MySQL and IMDb, <NA> of pandas.
_MISSING: Final = frozenset(("", "null", "NULL", "None", "nan", "NaN", "{}", "\\N", "<NA>", "N/A"))
_FLAGS: Final = {"true": True, "false": False}


def text(value: object, max_characters: int | None = None) -> str | None:
    """Return text on one line, blanks at its ends and doubled ones removed.

    Only the first `max_characters` are used.
    """
    if not isinstance(value, str):
        return None
    line = " ".join(value[:max_characters].split())
    if not line.isascii():  # JSON may contain half a character, which cannot be encoded
        line = line.encode("utf-8", "ignore").decode("utf-8")
    return None if line in _MISSING else line


def number(value: object) -> float | None:
    """Return a number from a number or text; NaN and infinity are possible."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def flag(value: object) -> bool | None:
    """Return a flag from a boolean, or from a word in any case."""
    if isinstance(value, bool):
        return value
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def moment(value: object, *, at_end: bool = False) -> str | None:
    """Return an ISO 8601 date or time in UTC, `2026-11-21T00:00:00+00:00`, sortable as text.

    A time without a zone is in UTC. An invalid time gives `UNREADABLE`.

    Args:
        value: Field of an API or a file; text, if it is valid.
        at_end: Whether a date without a time stands for its end, not for its beginning.
    """
    if value is None or value == {} or (isinstance(value, str) and text(value) is None):
        return None
    try:
        return _in_utc(value.strip(), at_end) if isinstance(value, str) else UNREADABLE
    except (ValueError, OverflowError):
        return UNREADABLE


def _in_utc(value: str, at_end: bool) -> str:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        at = datetime.fromisoformat(value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    else:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=at_end)
    return at.isoformat(timespec="seconds")
