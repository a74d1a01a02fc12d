"""Ratings of each user and item: the last one on the scale is the one that counts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.meetings import Integers


@dataclass(frozen=True, slots=True)
class Rated:
    """Ratings on the scale, the last of each place.

    Attributes:
        place: (n,) ascending, where in the meetings.
        rating: (n,) the last one; at the same time the best one.
        first_at: (n,) when the first was given, 0 if unknown.
        last_at: (n,) when the last was given, 0 if unknown.
        n_events: (n,) distinct ratings that were given.
        best: The best rating of the scale.
        n_off_scale: Distinct ratings that are none.
    """

    place: Integers
    rating: npt.NDArray[np.float32]
    first_at: npt.NDArray[np.int64]
    last_at: npt.NDArray[np.int64]
    n_events: npt.NDArray[np.int64]
    best: float
    n_off_scale: int


def last_ratings(ratings: pa.Table, place: Integers, event: Integers, max_rating: float) -> Rated:
    """Return what counts of ratings that have been brought together.

    Args:
        ratings: As `RATINGS`.
        place: (n_ratings,) ascending.
        event: (n_ratings,) the rows of `ratings`, beside `place`.
        max_rating: Best rating of the scale, 0 to tell it from the data.
    """
    rating = ratings["rating"].to_numpy()[event]
    at = pc.fill_null(ratings["at"], 0).to_numpy()[event]
    _sort_within(place, at, rating)
    is_new = np.ones(len(place), dtype=bool)
    is_new[1:] = _differs(place) | _differs(at) | _differs(rating)
    place, at, rating = place[is_new], at[is_new], rating[is_new]

    best = max_rating or _best_of(rating)
    is_on_scale = (rating > 0) & (rating <= best)
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
        best=best,
        n_off_scale=int(len(is_on_scale) - is_on_scale.sum()),
    )


def _sort_within(
    place: Integers, at: npt.NDArray[np.int64], rating: npt.NDArray[np.float32]
) -> None:
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


def _best_of(rating: npt.NDArray[np.float32]) -> float:
    """Tell a scale to 5 from one to 10: stray ratings above 5 are noise, many are a scale."""
    n_above_5 = int(((rating > 5) & (rating <= 10)).sum())
    return 10.0 if n_above_5 > 0.01 * len(rating) else 5.0
