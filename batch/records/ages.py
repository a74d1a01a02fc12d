"""Ages in the forms in which files have them: years, bands, and dates of birth.

    28 · "28 years"                        28
    "25-34" · "56+" · "Under 18"           25, 56, 1: the youngest age of the band
    1996 · "1996-05-03"                    age today; of a year alone the youngest that it allows

The youngest age is the careful choice: no minor counts as an adult. The numbers by which
MovieLens 1M codes its bands (1, 18, 25, …, 56) are such ages already.
"""

import re
from datetime import date
from functools import lru_cache
from typing import Final

from batch.records.fields import number

_MAX_AGE: Final = 120
_MAX_CHARACTERS: Final = 40  # of a band
_YEARS: Final = r"(?:\s*(?:years?|yrs?|y)\.?(?:\s*old)?)?"
_BAND: Final = re.compile(
    rf"[\[(]?\s*(\d{{1,3}}){_YEARS}\s*(?:-|–|—|_|to|,|\.\.)\s*(\d{{1,3}}){_YEARS}\s*[\])]?", re.I
)
_OPEN_ABOVE: Final = re.compile(
    rf"(\d{{1,3}}){_YEARS}\s*(?:\+|(?:and|or)\s+(?:over|above|older|more|up))", re.I
)
_ABOVE: Final = re.compile(rf"(>=|≥|>|over|above|older than)\s*(\d{{1,3}}){_YEARS}", re.I)
_BELOW: Final = re.compile(
    rf"(?:<=?|≤|under|below|younger than|up to)\s*\d{{1,3}}{_YEARS}"
    rf"|\d{{1,3}}{_YEARS}\s*(?:and|or)\s+(?:under|below|younger|less)",
    re.I,
)
_ONE: Final = re.compile(rf"(\d{{1,3}}){_YEARS}", re.I)
_BIRTH_YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_cached = lru_cache(maxsize=1 << 16, typed=True)  # typed: True equals 1 but is not an age


@_cached
def age_in_years(value: object) -> int | None:
    """Return an age of 1 to 120 years, of a band its youngest; None where there is none."""
    years = number(value)
    if years is not None and "_" not in str(value):  # Python reads 18_24 as 1824
        return int(years) if 1 <= years <= _MAX_AGE else None
    is_short = isinstance(value, str) and len(value) <= _MAX_CHARACTERS
    youngest = _youngest(str(value).strip()) if is_short else None
    return max(youngest, 1) if youngest is not None and youngest <= _MAX_AGE else None


def age_since(born: object, today: date) -> int | None:
    """Return the age on a day of a person born on a date, or at the end of a year."""
    if isinstance(born, bool) or not isinstance(born, int | float | str):
        return None
    found = _BIRTH_YEAR.search(str(born))
    if not found:
        return None
    try:
        birthday = date.fromisoformat(str(born).strip()[:10])
    except ValueError:
        birthday = date(int(found[0]), 12, 31)
    years = today.year - birthday.year
    years -= (today.month, today.day) < (birthday.month, birthday.day)
    return years if 1 <= years <= _MAX_AGE else None


def _youngest(words: str) -> int | None:
    if band := _BAND.fullmatch(words):
        return int(band[1]) if int(band[1]) <= int(band[2]) else None
    if found := _OPEN_ABOVE.fullmatch(words):
        return int(found[1])
    if found := _ABOVE.fullmatch(words):
        return int(found[2]) + (found[1] not in (">=", "≥"))
    if _BELOW.fullmatch(words):
        return 1
    return int(found[1]) if (found := _ONE.fullmatch(words)) else None
