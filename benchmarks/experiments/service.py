"""A simulated service: users with rates and activity of their own, who come again.

click rate of a user      Beta(2, 8)
first day of a user       any day of the experiment, so that users arrive over time
requests on a day         Poisson, its mean lognormal over users, at most 15: a few come very often
arm of a user             a fair coin
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Flags, Integers
from stream.experiments.statistics.rates import UserSums
from stream.experiments.traffic import ExperimentTraffic, measured

N_DAYS: Final = 28
_RATE_SHAPES: Final = (2.0, 8.0)
_MEAN_DAILY: Final = 1.0
_ACTIVITY_SIGMA: Final = 1.2
_MAX_DAILY: Final = 15.0


class Days(NamedTuple):
    """One experiment, by day.

    Attributes:
        is_treatment: (n_users,) arm of each user.
        requests: (n_users, N_DAYS) requests on each day.
        clicks: (n_users, N_DAYS) requests with a click.
    """

    is_treatment: Flags
    requests: Integers
    clicks: Integers


def simulate(n_users: int, lift: float, random: np.random.Generator) -> Days:
    """Return one experiment, in which treatment multiplies every user's rate by 1 + lift."""
    is_treatment = random.random(n_users) < 0.5
    rates = random.beta(*_RATE_SHAPES, n_users) * np.where(is_treatment, 1 + lift, 1)
    activity = random.lognormal(-(_ACTIVITY_SIGMA**2) / 2, _ACTIVITY_SIGMA, n_users) * _MEAN_DAILY
    activity = np.minimum(activity, _MAX_DAILY)
    has_joined = np.arange(N_DAYS) >= random.integers(0, N_DAYS, n_users)[:, None]
    requests = random.poisson(activity[:, None] * has_joined)
    clicks = random.binomial(requests, np.minimum(rates, 1)[:, None])
    return Days(is_treatment, requests, clicks)


def sums_by_day(days: Days, arm: Flags) -> list[UserSums]:
    """Return the sums of an arm's users until the end of each day."""
    clicks, requests = (
        np.cumsum(column[arm], axis=1, dtype=np.float64) for column in (days.clicks, days.requests)
    )
    columns = (
        (requests > 0).sum(axis=0), clicks.sum(axis=0), (clicks**2).sum(axis=0),
        requests.sum(axis=0), (requests**2).sum(axis=0), (clicks * requests).sum(axis=0),
    )  # fmt: skip
    return [
        UserSums(*values) for values in zip(*(column.tolist() for column in columns), strict=True)
    ]


@cache
def past_traffic(n_users: int, n_periods: int, seed: int) -> ExperimentTraffic:
    """Return the traffic of the days before, the mean of some periods."""
    random = np.random.default_rng((seed, n_users))
    periods = []
    for _ in range(n_periods):
        days = simulate(n_users, 0.0, random)
        user, day = np.nonzero(days.requests)
        clicks, requests = (
            column[user, day].astype(np.float64) for column in (days.clicks, days.requests)
        )
        periods.append(measured(day, user, clicks, requests))
    return ExperimentTraffic(
        np.mean([period.n_users for period in periods], axis=0),
        np.sqrt(np.mean([period.deviations**2 for period in periods], axis=0)),
        np.mean([period.correlations for period in periods], axis=0),
        np.sqrt(np.mean([period.variance_errors**2 for period in periods], axis=0)),
    )
