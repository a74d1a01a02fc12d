"""Ratings of each user and item: the last one on the scale is the one that counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from batch.arrays import Floats, Integers, Times


@dataclass(frozen=True, slots=True)
class AllRatings:
    """Distinct ratings that were given, on the scale or off it, in the order of their places.

    Attributes:
        place: (n,) ascending, where in the meetings.
        at: (n,) in seconds since 1970, ascending within a place, 0 or below if unknown.
        rating: (n,) ascending within a place and time.
    """

    place: Integers
    at: Times
    rating: Floats

    @classmethod
    def of(cls, place: Integers, at: Times, rating: Floats) -> Self:
        """Sort ratings whose places ascend, and leave out what was said twice.

        Args:
            place: (n_ratings,) ascending.
            at: (n_ratings,) this one sorts it in place.
            rating: (n_ratings,) likewise.
        """
        _sort_within(place, at, rating)
        is_new = np.ones(len(place), dtype=bool)
        is_new[1:] = _differs(place) | _differs(at) | _differs(rating)
        return cls(place[is_new], at[is_new], rating[is_new])


@dataclass(frozen=True, slots=True)
class Rated:
    """Ratings on the scale, the last of each place.

    Attributes:
        place: (n,) ascending, where in the meetings.
        rating: (n,) the last one; at the same time the best one.
        first_at: (n,) when the first was given, 0 if unknown.
        last_at: (n,) when the last was given, 0 if unknown.
        n_events: (n,) distinct ratings that were given.
        n_off_scale: Distinct ratings that are none.
    """

    place: Integers
    rating: Floats
    first_at: Times
    last_at: Times
    n_events: Times
    n_off_scale: int


def last_on_scale(given: AllRatings, best: float) -> Rated:
    """Return what counts of ratings.

    Args:
        given: All that were given.
        best: Best rating of the scale; it begins above 0.
    """
    is_on_scale = (given.rating > 0) & (given.rating <= best)
    place, at, rating = given.place, given.at, given.rating
    if not is_on_scale.all():
        place, at, rating = place[is_on_scale], at[is_on_scale], rating[is_on_scale]
    is_first = np.ones(len(place), dtype=bool)
    is_first[1:] = _differs(place)
    first = np.flatnonzero(is_first)
    last = np.append(first, len(place))[1:] - 1
    n_unknown = np.diff(np.append(0, np.cumsum(at <= 0))[np.append(first, len(place))])
    return Rated(
        place=place[first],
        rating=rating[last],
        first_at=np.maximum(at[np.minimum(first + n_unknown, last)], 0),
        last_at=np.maximum(at[last], 0),
        n_events=last - first + 1,
        n_off_scale=int(len(is_on_scale) - is_on_scale.sum()),
    )


def best_of(given: Sequence[AllRatings]) -> float:
    """Tell a scale to 5 from one to 10: stray ratings above 5 are noise, many are a scale."""
    n_above_5 = sum(int(((one.rating > 5) & (one.rating <= 10)).sum()) for one in given)
    return 10.0 if n_above_5 > 0.01 * sum(len(one.rating) for one in given) else 5.0


def _sort_within(place: Integers, at: Times, rating: Floats) -> None:
    """Sort the ratings of each place by time, then rating; few places have more than one."""
    is_same = place[1:] == place[:-1]
    is_one_of_several = np.zeros(len(place), dtype=bool)
    is_one_of_several[1:] |= is_same
    is_one_of_several[:-1] |= is_same
    several = np.flatnonzero(is_one_of_several)
    order = several[np.lexsort((rating[several], at[several], place[several]))]
    at[several], rating[several] = at[order], rating[order]


def _differs(column: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    return np.asarray(column[1:] != column[:-1])
