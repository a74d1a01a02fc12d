"""Periods: the last day of the events to train on, and the day before it to judge with.

    ───────────────────┤ previous │ newest │
                        train      judge          is it better?
                                   train          the lists

Where a day has too few users, 7 or 28 days take its place.
"""

from dataclasses import dataclass
from typing import Final

import scipy.sparse as sp

from batch.arrays import Times
from batch.errors import BatchError
from batch.evaluation.splits import Split, split_at
from batch.second_stage.past import DAY_SECONDS
from batch.unavailable import Unavailable

_PERIOD_DAYS: Final = (1, 7, 28)
_MIN_USERS: Final = 200  # with items in the period and before it
_MIN_TRAIN_SHARE: Final = 0.5  # of the interactions; with fewer the sources are not comparable


@dataclass(frozen=True, slots=True)
class Periods:
    """The last two periods of some interactions.

    Attributes:
        seconds: Length of a period.
        newest: Split into everything before the last period, and that period.
        previous: The same of the training side of `newest`.
    """

    seconds: int
    newest: Split
    previous: Split

    def limited(self, max_users: int, seed: int) -> "Periods":
        """Return the periods with a sample of at most so many users each."""
        newest, previous = (one.limited(max_users, seed) for one in (self.newest, self.previous))
        return Periods(self.seconds, newest, previous)


def last_periods(weights: sp.csr_matrix, at: Times | None) -> Periods | Unavailable:
    """Return the shortest periods that have enough users, or the reason of their absence.

    Args:
        weights: (n_users, n_items) weights of the interactions.
        at: (n_interactions,) seconds since 1970 beside `weights.data`, 0 if unknown; None if
            all are unknown.
    """
    if at is None or not (latest := int(at.max(initial=0))):
        return Unavailable("the events have no times")
    for seconds in (days * DAY_SECONDS for days in _PERIOD_DAYS):
        newest = _split(weights, at, latest - seconds)
        if newest is None or newest.at is None:
            continue
        previous = _split(newest.train, newest.at, latest - 2 * seconds)
        if previous is None or previous.train.nnz < _MIN_TRAIN_SHARE * weights.nnz:
            continue
        return Periods(seconds, newest, previous)
    return Unavailable("too few users have events in the last days and before them")


def _split(weights: sp.csr_matrix, at: Times, cutoff: int) -> Split | None:
    try:
        split = split_at(weights, at, cutoff)
    except BatchError:
        return None
    return split if len(split.user_rows) >= _MIN_USERS else None
