"""The weight of an interaction: how strongly it shows that the user likes the item.

    weight = weight_watched · share of the item watched      0 to 1
           + weight_rating · (2 · rating / best - 1)         -1 to 1, 0 without a rating
    … × ½ for each half-life between the interaction's latest event and the data's

A rating without a view counts as watched to the end. So among ratings alone, five stars
weigh five times as much as one; beside a view, a bad rating lowers the weight:

    watched to the end and rated     -    1    2    3    4    5    of 5
    weight                          1.0  0.4  0.8  1.2  1.6  2.0

A weight is at least 0.001, so that every interaction stays in the matrix and the item is
not recommended to the user again.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from batch.arrays import Floats, Rows, Times
from batch.settings import BatchSettings

MIN_WEIGHT: Final = 0.001
DEFAULT_RUNTIME: Final = 100.0  # minutes, if no runtime at all is known
DAY_SECONDS: Final = 86_400
_INTERACTIONS_PER_CLOCK_ERROR: Final = 1000  # one of so many may have a time in the future


@dataclass(frozen=True, slots=True)
class Weighting:
    """Parameters of the weight; see `BatchSettings`.

    Attributes:
        watched: Weight of an item watched to the end.
        rating: Weight that the best rating adds; a rating near 0 subtracts as much.
        half_life_days: Age in days at which a weight is halved; 0: weights do not age.
    """

    watched: float
    rating: float
    half_life_days: float

    @classmethod
    def from_settings(cls, settings: BatchSettings) -> Self:
        """Return the weighting of these settings."""
        return cls(settings.weight_watched, settings.weight_rating, settings.half_life_days)


DEFAULT_WEIGHTING: Final = Weighting.from_settings(BatchSettings())


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of each interaction.

    Attributes:
        watched: (n_interactions,) share of the item; NaN where there is only a rating, or no
            minute is known, which counts as watched to the end.
        rating: (n_interactions,) on the data's scale, 0 without one.
        best: Best rating of that scale.
        last_at: (n_interactions,) time of the latest event, in seconds since 1970, 0 where
            it is unknown; None if all are unknown.
        rated_at: (n_rated,) times of the ratings above 0, 0 where unknown; None if not needed.
        default_runtime: Minutes of an item of unknown runtime.
    """

    watched: Floats
    rating: Floats
    best: float
    last_at: Times | None
    rated_at: Times | None = None
    default_runtime: float = DEFAULT_RUNTIME

    def of(self, rows: Rows) -> "Evidence":
        """Return the evidence of the interactions in these rows."""
        last_at = None if self.last_at is None else self.last_at[rows]
        return Evidence(self.watched[rows], self.rating[rows], self.best, last_at)


def weigh(
    evidence: Evidence, weighting: Weighting = DEFAULT_WEIGHTING, latest: int | None = None
) -> Floats:
    """Return (n_interactions,) weights, each at least 0.001.

    Ages count from the latest event of these interactions, never from now, so that
    the same events always have the same weights. One time in a thousand may be later,
    from a wrong clock, without effect on other ages. An unknown time has age 0.

    Args:
        evidence: Evidence of the interactions.
        weighting: Parameters of the weight.
        latest: Time that ages count from, in seconds since 1970; None: that of these events.
    """
    weight = evidence.rating * np.float32(2 * weighting.rating / evidence.best)
    weight -= np.float32(weighting.rating) * (evidence.rating > 0)
    weight += np.nan_to_num(evidence.watched, nan=1) * np.float32(weighting.watched)
    np.maximum(weight, MIN_WEIGHT, out=weight)
    if weighting.half_life_days and evidence.last_at is not None:
        weight *= _decay(evidence.last_at, weighting.half_life_days, latest)
        np.maximum(weight, MIN_WEIGHT, out=weight)
    return weight


def _decay(last_at: Times, half_life_days: float, latest: int | None) -> Floats:
    is_known = last_at > 0
    newest = latest_time(last_at) if latest is None else np.int64(latest)
    age = np.maximum(newest - last_at, 0, dtype=np.float32)
    age /= np.float32(half_life_days * DAY_SECONDS)
    return np.asarray(np.exp2(-age * is_known), np.float32)


def latest_time(last_at: Times) -> np.int64:
    """Return the latest of one or more times, the 0.1 % highest left out as clock errors."""
    rank = len(last_at) - 1 - rank_from_latest(len(last_at))
    return np.int64(np.partition(last_at, rank)[rank])


def rank_from_latest(n_interactions: int) -> int:
    """Return how many of the highest times are left out as clock errors."""
    return n_interactions // _INTERACTIONS_PER_CLOCK_ERROR
