"""Profiles: age, gender and occupation of users, and the segments that follow from them.

    Profile(age=28, gender="F", occupation="writer")
        ─►  "25-34/F/writer", "25-34/F", "25-34", "F", "writer"

A user without a list is served the list of the first segment that has one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from batch.records.fields import number, text
from batch.records.kinds import RecordKind, any_line_like, csv_kind, json_kind
from batch.records.read import RecordFile, read_records
from batch.records.rows import ID, Row, separated_rows
from batch.sql.source import DatabaseInput
from store.ids import is_user_id
from store.layout import POPULAR, RESERVE

_MAX_AGE: Final = 120
_ADULT_AGE: Final = 18
_BANDS: Final = (  # lowest age and name; the bands of MovieLens 1M, oldest first
    (56, "56+"),
    (50, "50-55"),
    (45, "45-49"),
    (35, "35-44"),
    (25, "25-34"),
    (18, "18-24"),
    (0, "0-17"),
)
_GENDERS: Final = {"MALE": "M", "FEMALE": "F"}
_GENDER: Final = re.compile(r"[A-Z][A-Z-]{0,19}")  # a segment's name is a key in the store
_NOT_IN_KEYS: Final = re.compile(r"[\W_]+")
_MAX_KEY_CHARACTERS: Final = 40  # of an occupation in a segment's name
_RESERVED: Final = frozenset((POPULAR.decode(), RESERVE.decode()))
_WORD_FIELDS: Final = ("age", "gender", "occupation")
_MAX_LIKES_CHARACTERS: Final = 2_000
_OCCUPATIONS: Final = (  # by code: the README of MovieLens 1M
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)
_OCCUPATION_OF_CODE: Final = {str(code): name for code, name in enumerate(_OCCUPATIONS)}


@dataclass(frozen=True, slots=True)
class Profile:
    """Fields of one user, each None if unknown.

    Attributes:
        age: Years, 1 to 120; for a MovieLens 1M user the lower bound of a band.
        gender: "M", "F" or another word in upper case.
        occupation: Occupation in the words of the source.
        likes: Stated preferences, free text.
        dislikes: Stated dislikes, free text.
    """

    age: int | None
    gender: str | None
    occupation: str | None
    likes: str | None = None
    dislikes: str | None = None

    def or_else(self, other: "Profile") -> "Profile":
        """Return this profile, its missing fields filled from `other`."""
        return _profile(
            self.age or other.age,
            self.gender or other.gender,
            self.occupation or other.occupation,
            self.likes or other.likes,
            self.dislikes or other.dislikes,
        )


# A million users share a few thousand distinct profiles, each of which is kept once; their
# words are even fewer, and each is cleaned once.
_profile = lru_cache(maxsize=1 << 16)(Profile)
_cached = lru_cache(maxsize=1 << 16, typed=True)  # typed: True equals 1 but is not an age


@dataclass(frozen=True, slots=True)
class Profiles:
    """Users with a profile.

    Attributes:
        users: Profiles by user_id.
        sources: Files, in the order in which they were read.
        not_read: Reason why each other member of an archive was not read, by its name.
    """

    users: dict[str, Profile]
    sources: tuple[RecordFile, ...]
    not_read: dict[str, str] = field(default_factory=dict)


def read_profiles(paths: Sequence[Path | DatabaseInput]) -> Profiles:
    """Read profile files of any known kind, plain or packed, archives of them, and tables.

    Raises:
        InputError: A file cannot be read, is of no known kind, or has no
            user with a valid id.
    """
    return Profiles(*read_records(paths, _KINDS, is_user_id))


def age_band(age: int | None) -> str | None:
    """Return the band of an age in years, such as "25-34"."""
    if age is None:
        return None
    return next((band for lowest, band in _BANDS if age >= lowest), None)


def segments(profile: Profile) -> tuple[str, ...]:
    """Return the segments of a user, most specific first; empty if nothing is known.

    The order in which the server backs off: `a/b/c`, `a/b`, `a`, `b`, `c`.
    """
    return _segments(profile.age, profile.gender, profile.occupation)


@lru_cache(maxsize=1 << 16)
def _segments(age: int | None, gender: str | None, occupation: str | None) -> tuple[str, ...]:
    parts = [part for part in (age_band(age), gender, _occupation_key(occupation)) if part]
    narrow = ("/".join(parts[:n]) for n in range(len(parts), 1, -1))
    return (*narrow, *parts)


def _occupation_key(occupation: str | None) -> str | None:
    """Return an occupation as a part of a key, `college-grad-student`; None if it cannot be one.

    A key begins with a lower-case letter, unlike an age or a gender.
    """
    words = _NOT_IN_KEYS.sub("-", (occupation or "").casefold())[:_MAX_KEY_CHARACTERS].strip("-")
    is_key = words[:1].isalpha() and words[:1] == words[:1].lower() and words not in _RESERVED
    return words if is_key else None


def is_minor(profile: Profile) -> bool:
    """Return whether a user is known to be under 18."""
    return profile.age is not None and profile.age < _ADULT_AGE


def _user(row: Row) -> Profile:
    get = row.get
    try:
        return _profile(
            _age(get("age")),
            _gender(get("gender")),
            _occupation(get("occupation")),
            _words(get("likes")),
            _words(get("dislikes")),
        )
    except TypeError:  # {} or [], which cannot be cached, and are not words
        compound = [name for name in _WORD_FIELDS if _is_compound(row.get(name))]
        if not compound:
            raise
        return _user({**row, **dict.fromkeys(compound)})


def _coded_user(row: Row) -> Profile:
    return _user({**row, "occupation": _OCCUPATION_OF_CODE.get(str(row.get("occupation")))})


def _is_compound(value: object) -> bool:
    return isinstance(value, list | dict)


def _words(value: object) -> str | None:
    """Return free text; the texts of a list are joined."""
    if isinstance(value, list):
        value = "; ".join(
            entry for entry in value[:_MAX_LIKES_CHARACTERS] if isinstance(entry, str)
        )
    return _sentence(value[:_MAX_LIKES_CHARACTERS]) if isinstance(value, str) else None


@lru_cache(maxsize=1 << 12)  # a small cache: long texts, seldom equal
def _sentence(words: str) -> str | None:
    return text(words)


@_cached
def _occupation(value: object) -> str | None:
    return text(value)


@_cached
def _age(value: object) -> int | None:
    years = number(value)
    return int(years) if years is not None and 1 <= years <= _MAX_AGE else None


@_cached
def _gender(value: object) -> str | None:
    word = (text(value) or "").upper()
    word = _GENDERS.get(word, word)
    return word if _GENDER.fullmatch(word) else None


_U_USER_COLUMNS: Final = (ID, "age", "gender", "occupation", "zip")
_USERS_DAT_COLUMNS: Final = (ID, "gender", "age", "occupation", "zip")

_KINDS: Final[Sequence[RecordKind[Profile]]] = (
    csv_kind(
        "CSV with a user_id column",
        "user_id,age,occupation,gender",
        id_columns=("userid", "user_id"),
        foreign_columns=("movieid", "movie_id", "itemid", "item_id"),
        record=_user,
    ),
    json_kind(
        "user API, JSON lines",
        '{"user_id": 42, "age": 28, "occupation": "writer", "gender": "F"}',
        id_field="user_id",
        record=_user,
    ),
    RecordKind(
        "MovieLens 100k u.user",
        "1|24|M|technician|85711",
        matches=any_line_like(r"[^|]+\|\d*(?:\|[^|]*){3}$"),
        rows=partial(separated_rows, separator="|", columns=_U_USER_COLUMNS),
        record=_user,
    ),
    RecordKind(
        "MovieLens 1M users.dat",
        "1::F::1::10::48067",
        matches=any_line_like(r"[^:]+::[A-Z]?::\d*::\d*::"),
        rows=partial(separated_rows, separator="::", columns=_USERS_DAT_COLUMNS),
        record=_coded_user,
    ),
)
