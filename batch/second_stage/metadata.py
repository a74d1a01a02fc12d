"""Catalogue and profiles as arrays, in the rows of the interactions.

    Item(genres=("Comedy", "War"), year=1999)   ─►  genres [½ ½ 0 …], year 1999
    Profile(age=28, gender="F")                 ─►  age 28, gender 0, segment 7

An unknown number is NaN, which trees treat as a value of its own. Of genres, genders and
segments the 32 most frequent are told apart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

from batch.arrays import Codes, Floats, Rows
from batch.interactions.build import Interactions
from batch.records.catalogue import Item
from batch.records.profiles import Profile, age_band

_Label = TypeVar("_Label", str, tuple[str, str])

_MAX_CODES: Final = 32  # of genres, genders and segments: an input may hold any number
_NO_ITEM_FIELDS: Final = Item(None, None, (), None, None)
_NO_PROFILE: Final = Profile(None, None, None)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Fields of items and users.

    Attributes:
        genres: (n_items, n_genres) share of each genre, rows sum to 1, or 0 if unknown.
        numbers: (n_items, 3) year, runtime in minutes and cost in USD; NaN if unknown.
        profiles: (n_users, 2) age in years and code of the gender; NaN if unknown.
        segment: (n_users,) number of the user's age band and gender, from 0.
        n_segments: Number of segments.
    """

    genres: Floats
    numbers: Floats
    profiles: Floats
    segment: Codes
    n_segments: int

    @classmethod
    def of(
        cls,
        interactions: Interactions,
        items: Mapping[str, Item],
        profiles: Mapping[str, Profile],
    ) -> "Metadata":
        """Look up the rows of the interactions.

        Args:
            interactions: Interactions with the rows of users and items.
            items: Catalogue entries by item_id.
            profiles: Profiles by user_id.
        """
        listed = [items.get(name, _NO_ITEM_FIELDS) for name in interactions.item_ids.to_pylist()]
        users = [profiles.get(name, _NO_PROFILE) for name in interactions.user_ids.to_pylist()]
        genders = _codes(user.gender for user in users if user.gender)
        groups = [(age_band(user.age) or "", user.gender or "") for user in users]
        segments = _codes(groups)
        others = len(segments)  # one more segment, where there are too many
        segment = np.array([segments.get(group, others) for group in groups], np.int32)
        return cls(
            genres=_genres(listed),
            numbers=_array([(item.year, item.runtime, item.cost) for item in listed], 3),
            profiles=_array([(user.age, genders.get(user.gender or "")) for user in users], 2),
            segment=segment,
            n_segments=int(segment.max(initial=0)) + 1,
        )

    def of_users(self, user_rows: Rows) -> "Metadata":
        """Return the metadata of some of the users, in this order."""
        return replace(self, profiles=self.profiles[user_rows], segment=self.segment[user_rows])


def _codes(values: Iterable[_Label]) -> dict[_Label, int]:
    """Return a number from 0 for each of the 32 most frequent values, the most frequent first."""
    n_of = Counter(values)
    frequent = sorted(n_of, key=lambda value: (-n_of[value], value))[:_MAX_CODES]
    return {value: code for code, value in enumerate(frequent)}


def _array(rows: Sequence[tuple[float | None, ...]], n_columns: int) -> Floats:
    """Return the rows as numbers, NaN in place of None."""
    return np.array(rows, np.float32).reshape(-1, n_columns)


def _genres(items: Sequence[Item]) -> Floats:
    column = _codes(genre for item in items for genre in item.genres)
    shares = np.zeros((len(items), len(column)), np.float32)
    for row, item in enumerate(items):
        known = [column[genre] for genre in item.genres if genre in column]
        shares[row, known] = 1 / max(len(known), 1)
    return shares
