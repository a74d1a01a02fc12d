"""Profiles: age, gender and occupation of users, and the segments that follow from them.

    Profile(age=28, gender="F", occupation="writer")
        ─►  "25-34/F/writer", "25-34/F", "25-34", "F", "writer"

A user without a list is served the list of the first segment that has one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import pyarrow as pa

from batch.columns.names import ITEM, NAMES, USER
from batch.columns.roles import roles_by_name
from batch.files.input_file import AnyFile, InputFile
from batch.records.ages import age_in_years, age_since
from batch.records.fields import text
from batch.records.forms import Headless
from batch.records.kinds import RecordKind
from batch.records.naming import ID, FieldNames, RecordColumns, columns_of
from batch.records.parquet import parquet_columns
from batch.records.read import RecordFile, read_file, read_records
from batch.records.rows import Row
from batch.sql.source import DatabaseInput
from store.ids import is_user_id
from store.layout import POPULAR, RESERVE

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
_GENDERS: Final = {
    **dict.fromkeys(("MALE", "MAN", "MEN"), "M"),
    **dict.fromkeys(("FEMALE", "WOMAN", "WOMEN", "W"), "F"),
}
_NOT_GENDERS: Final = frozenset(("UNKNOWN", "UNSPECIFIED", "NAN", "NULL"))
_GENDER: Final = re.compile(r"[A-Z][A-Z-]{0,19}")  # a segment's name is a key in the store
_NOT_IN_KEYS: Final = re.compile(r"[\W_]+")
_MAX_KEY_CHARACTERS: Final = 40  # of an occupation in a segment's name
_RESERVED: Final = frozenset((POPULAR.decode(), RESERVE.decode()))
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
_OCCUPATION_OF_CODE: Final[Mapping[object, str]] = {
    str(code): name for code, name in enumerate(_OCCUPATIONS)
}


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
        counts: Number of users and of those with each field, as `found.profile_counts`, where
            most users are in partitions of a cluster; None: all are in `users`.
    """

    users: dict[str, Profile]
    sources: tuple[RecordFile, ...]
    not_read: dict[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] | None = None


def read_profiles(
    paths: Iterable[AnyFile | DatabaseInput], id_column: str | None = None
) -> Profiles:
    """Read profile files of any known form, plain or packed, and archives of them.

    Args:
        paths: Files, tables and queries.
        id_column: Column of the ids, for files that have it; None: the one of a known name.

    Raises:
        InputError: A file cannot be read, is of no known form, has other content, or has no
            user with a valid id.
    """
    return Profiles(*read_records(paths, USERS.with_ids_in(id_column)))


def profile_ids(file: InputFile) -> pa.StringArray | None:
    """Return the distinct users of a Parquet file of profiles; None if it is another file.

    Raises:
        InputError: It is damaged, or has no user with a valid id.
    """
    names = parquet_columns(file)
    if ITEM in roles_by_name(names) or columns_of(names, _NAMES).id_column is None:
        return None
    return pa.array(read_file(file, USERS)[0], pa.string())


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


def _user_maker(columns: RecordColumns) -> Callable[[Row], Profile]:
    """Return the function that makes a profile from a row with these columns."""
    age, band, born, gender, occupation, code, likes, dislikes = map(columns.column, _NAMES.fields)

    def make(row: Row) -> Profile:
        get = row.get
        try:
            return _profile(
                age_in_years(get(age)) or age_in_years(get(band)) or _age_since(get(born)),
                _gender(get(gender)),
                _occupation(get(occupation)) or _OCCUPATION_OF_CODE.get(get(code)),
                _words(get(likes)),
                _words(get(dislikes)),
            )
        except TypeError:  # {} or [], which cannot be cached, and are not words
            words = (age, band, gender, occupation, code)
            compound = [name for name in words if isinstance(get(name), list | dict)]
            if not compound:
                raise
            return make({**row, **dict.fromkeys(compound)})

    return make


def _age_since(born: object) -> int | None:
    return age_since(born, datetime.now(UTC).date()) if born else None


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
def _gender(value: object) -> str | None:
    word = (text(value) or "").upper()
    word = _GENDERS.get(word, word)
    return word if _GENDER.fullmatch(word) and word not in _NOT_GENDERS else None


_NOUNS: Final = ("user", "customer", "member", "account", "username")
_NOT_IDS: Final = (*_NOUNS, "author", "session", "u")
_NAMES: Final = FieldNames(
    ids=(*(name for name in NAMES[USER] if name not in _NOT_IDS), ID),
    nouns=_NOUNS,
    foreign=[name for name in NAMES[ITEM] if name.endswith(("id", "isbn", "asin"))],
    fields={
        "age": ("age", "ageinyears", "years"),
        "age_band": ("ageband", "agegroup", "agerange", "agebracket", "agecategory"),
        "born": (
            *("birthyear", "yearofbirth", "yob", "birthdate", "dateofbirth", "dob"),
            *("birthday", "born"),
        ),
        "gender": ("gender", "sex"),
        "occupation": ("occupation", "job", "profession", "jobtitle"),
        "occupation_code": ("occupationcode",),
        "likes": ("likes",),
        "dislikes": ("dislikes",),
    },
    is_bare_id_enough=False,
)
_HEADLESS: Final = (
    Headless(
        "MovieLens 100k u.user",
        "1|24|M|technician|85711",
        re.compile(r"[^|]+\|\d*(?:\|[^|]*){3}$"),
        "|",
        ("user_id", "age", "gender", "occupation", "zip"),
    ),
    Headless(
        "MovieLens 1M users.dat",
        "1::F::1::10::48067",
        re.compile(r"[^:]+::[A-Z]?::\d*::\d*::"),
        "::",
        ("user_id", "gender", "age", "occupation_code", "zip"),
    ),
)
USERS: Final = RecordKind(
    noun="user",
    names=_NAMES,
    is_id=is_user_id,
    maker=_user_maker,
    headless=_HEADLESS,
    header="user_id,age,gender,occupation",
    line='{"user_id": 42, "age": 28, "occupation": "writer", "gender": "F"}',
    attributes={"age_band": "age", "born": "age", "occupation_code": "occupation"},
)
