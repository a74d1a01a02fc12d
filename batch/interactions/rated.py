"""Ratings of each user and item: the latest one on the scale counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from batch.arrays import Flags, Floats, Integers, Times

_MAX_NOISE_SHARE: Final = 0.01  # a larger share of ratings from 5 to 10 makes the scale end at 10


@dataclass(frozen=True, slots=True)
class DistinctRatings:
    """Distinct ratings, on the scale or off it, in the order of their pairs.

    Attributes:
        pair_row: (n,) rows in `UserItemPairs`, ascending.
        at: (n,) in seconds since 1970, ascending within a pair, 0 or below if unknown.
        rating: (n,) ascending within a pair and time.
    """

    pair_row: Integers
    at: Times
    rating: Floats

    @classmethod
    def of(cls, pair_row: Integers, at: Times, rating: Floats) -> Self:
        """Sort ratings whose pair rows ascend, and drop duplicates.

        Args:
            pair_row: (n_ratings,) rows in `UserItemPairs`, ascending.
            at: (n_ratings,) times; sorted in place.
            rating: (n_ratings,) ratings; sorted in place.
        """
        _sort_within(pair_row, at, rating)
        is_new = np.ones(len(pair_row), dtype=bool)
        is_new[1:] = _differs(pair_row) | _differs(at) | _differs(rating)
        return cls(pair_row[is_new], at[is_new], rating[is_new])


@dataclass(frozen=True, slots=True)
class LatestRatings:
    """Latest rating on the scale of each pair that has one.

    Attributes:
        pair_row: (n,) rows in `UserItemPairs`, ascending.
        rating: (n,) the latest rating; of several at the same time the best.
        first_at: (n,) time of the pair's first rating, 0 if unknown.
        last_at: (n,) time of the pair's latest rating, 0 if unknown.
        n_events: (n,) number of distinct ratings of the pair.
        n_off_scale: Number of distinct ratings off the scale.
    """

    pair_row: Integers
    rating: Floats
    first_at: Times
    last_at: Times
    n_events: Times
    n_off_scale: int


def latest_on_scale(ratings: DistinctRatings, best: float) -> LatestRatings:
    """Return the latest rating on the scale of each pair.

    Args:
        ratings: All distinct ratings.
        best: Best rating of the scale, which begins above 0.
    """
    is_on_scale = (ratings.rating > 0) & (ratings.rating <= best)
    pair_row, at, rating = ratings.pair_row, ratings.at, ratings.rating
    if not is_on_scale.all():
        pair_row, at, rating = pair_row[is_on_scale], at[is_on_scale], rating[is_on_scale]
    is_first = np.ones(len(pair_row), dtype=bool)
    is_first[1:] = _differs(pair_row)
    first = np.flatnonzero(is_first)
    last = np.append(first, len(pair_row))[1:] - 1
    n_unknown = np.diff(np.append(0, np.cumsum(at <= 0))[np.append(first, len(pair_row))])
    return LatestRatings(
        pair_row=pair_row[first],
        rating=rating[last],
        first_at=np.maximum(at[np.minimum(first + n_unknown, last)], 0),
        last_at=np.maximum(at[last], 0),
        n_events=last - first + 1,
        n_off_scale=int(len(is_on_scale) - is_on_scale.sum()),
    )


def best_rating_of(blocks: Sequence[DistinctRatings]) -> float:
    """Return the best rating of the scale, 10 if more than 1 % lie above 5, else 5."""
    n_above_5 = sum(int(((block.rating > 5) & (block.rating <= 10)).sum()) for block in blocks)
    return best_rating(n_above_5, sum(len(block.rating) for block in blocks))


def best_rating(n_above_5: int, n_ratings: int) -> float:
    """Return the best rating of a scale with so many distinct ratings from 5 to 10."""
    return 10.0 if n_above_5 > _MAX_NOISE_SHARE * n_ratings else 5.0


def _sort_within(pair_row: Integers, at: Times, rating: Floats) -> None:
    """Sort the ratings of each pair by time, then rating; few pairs have more than one."""
    is_same = pair_row[1:] == pair_row[:-1]
    is_one_of_several = np.zeros(len(pair_row), dtype=bool)
    is_one_of_several[1:] |= is_same
    is_one_of_several[:-1] |= is_same
    several = np.flatnonzero(is_one_of_several)
    order = several[np.lexsort((rating[several], at[several], pair_row[several]))]
    at[several], rating[several] = at[order], rating[order]


def _differs(column: npt.NDArray[Any]) -> Flags:
    return np.asarray(column[1:] != column[:-1])
