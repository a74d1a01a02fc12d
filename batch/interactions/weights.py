"""The weight of an interaction: how much it says that the user likes the item.

    weight = weight_watched · share of the item watched      0 to 1
           + weight_rating · (2 · rating / best - 1)         -1 to 1, 0 without a rating
    … × ½ for each half-life between the interaction's latest event and the data's

Who rates without a view has watched all of it. So among ratings alone five stars weigh
five times as much as one, and beside a view a bad rating takes back what watching said:

    watched to the end and rated     -    1    2    3    4    5    of 5
    weight                          1.0  0.4  0.8  1.2  1.6  2.0

Whatever comes out, a weight is at least 0.001: who has had an item has had it, and
must not be offered it again.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.arrays import Floats, Times
from batch.settings import BatchSettings

LEAST: Final = 0.001
_DAY_SECONDS: Final = 86_400
_STRAY: Final = 1000  # of so many interactions one may have a time from a clock that is wrong


@dataclass(frozen=True, slots=True)
class Weighting:
    """How much of what goes into a weight; see `BatchSettings`.

    Attributes:
        watched: What an item watched to the end weighs.
        rating: What the best rating adds, and none of the scale takes away.
        half_life_days: After so many days an interaction weighs half; 0: it always
            weighs the same.
    """

    watched: float
    rating: float
    half_life_days: float


def weighting(settings: BatchSettings) -> Weighting:
    """Return the weighting that the settings ask for."""
    return Weighting(settings.weight_watched, settings.weight_rating, settings.half_life_days)


USUAL: Final = weighting(BatchSettings())


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of each interaction.

    Attributes:
        watched: (n_interactions,) share of the item, 1 where there is but a rating.
        rating: (n_interactions,) on the data's scale, 0 without one.
        best: The best rating of that scale.
        last_at: (n_interactions,) the latest event, in seconds since 1970, 0 where
            that is not known; None if it is known of none.
    """

    watched: Floats
    rating: Floats
    best: float
    last_at: Times | None

    def of(self, places: npt.NDArray[np.int64]) -> "Evidence":
        """Return the evidence of the interactions at these places."""
        last_at = None if self.last_at is None else self.last_at[places]
        return Evidence(self.watched[places], self.rating[places], self.best, last_at)


def weigh(evidence: Evidence, how: Weighting = USUAL) -> Floats:
    """Return (n_interactions,) weights, each at least 0.001.

    Ages count from the latest event of these interactions, never from now, so that
    the same events always weigh the same. One time in a thousand may be later, from
    a clock that is wrong, and ages nobody else. An unknown time is of no age.
    """
    weight = evidence.rating * np.float32(2 * how.rating / evidence.best)
    weight -= np.float32(how.rating) * (evidence.rating > 0)
    weight += evidence.watched * np.float32(how.watched)
    np.maximum(weight, LEAST, out=weight)
    if how.half_life_days and evidence.last_at is not None:
        weight *= _freshness(evidence.last_at, how.half_life_days)
        np.maximum(weight, LEAST, out=weight)
    return weight


def _freshness(last_at: Times, half_life_days: float) -> Floats:
    is_known = last_at > 0
    age = np.maximum(_latest(last_at) - last_at, 0, dtype=np.float32)
    age /= np.float32(half_life_days * _DAY_SECONDS)
    return np.asarray(np.exp2(-age * is_known), np.float32)


def _latest(last_at: Times) -> np.int64:
    place = len(last_at) - 1 - len(last_at) // _STRAY
    return np.int64(np.partition(last_at, place)[place])
