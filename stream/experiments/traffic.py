"""Traffic of an experiment to be planned: how many users come, and how far their values vary.

    day               1      2      3   …
    users so far   41,000 62,000 76,000
    deviation        2.9    2.2    1.9     of a user's value, relative to the rate
    variance error         .15    .12      of an estimate of the squared deviation, relative
    correlation            .71    .84      of the rate with that of an earlier day

Both come from past days of the service, `measured`, or from its rates, `of_rates`: users
return, so their number grows ever more slowly while each one's value becomes more exact.
"""

from dataclasses import dataclass

import numpy as np

from batch.arrays import Doubles, Rows
from batch.errors import InputError
from stream.experiments.statistics.rates import user_sums


@dataclass(frozen=True, slots=True)
class ExperimentTraffic:
    """Users and their deviation, by the end of each day of an experiment.

    Attributes:
        n_users: (n_days,) users who have come until then.
        deviations: (n_days,) standard deviation of a user's linearised value ÷ the rate.
        correlations: (n_days, n_days) correlation of the rates until two days, over repetitions
            of the experiment: users return, so it is more than the common users make.
        variance_errors: (n_days,) relative standard error of the variance of a user's value, as
            that many users show it: a few very active ones make most of it.
    """

    n_users: Doubles
    deviations: Doubles
    correlations: Doubles
    variance_errors: Doubles

    @property
    def n_days(self) -> int:
        """Number of days."""
        return len(self.n_users)


@dataclass(frozen=True, slots=True)
class ServiceRates:
    """Rates of a service, from which its traffic is computed.

    Attributes:
        rate: Share of requests with a success, such as the click-through, between 0 and 1.
        n_users: Users of the service.
        n_daily_users: Users who come on one day, at most `n_users`.
        daily_requests: Mean number of requests of a user on such a day, at least 1.
        correlation: Correlation of two requests of one user, 0 to 1.
        request_deviation: Standard deviation ÷ mean of users' numbers of requests.
    """

    rate: float
    n_users: int
    n_daily_users: int
    daily_requests: float = 1.0
    correlation: float = 0.1
    request_deviation: float = 1.0

    def __post_init__(self) -> None:
        limits = {
            "rate": 0 < self.rate < 1,
            "n_users": self.n_users >= 4,
            "n_daily_users": 0 < self.n_daily_users <= self.n_users,
            "daily_requests": 1 <= self.daily_requests < np.inf,
            "correlation": 0 <= self.correlation <= 1,
            "request_deviation": 0 <= self.request_deviation < np.inf,
        }
        for name, is_valid in limits.items():
            if not is_valid:
                remedy = "`python -m stream experiment plan --help` gives the limits"
                problem = f"{getattr(self, name)} is out of range"
                raise InputError(f"{name} of the service", problem, remedy)


def of_rates(service: ServiceRates, n_days: int) -> ExperimentTraffic:
    """Return the traffic of users who come independently of each other and of other days.

    The variance of C - R·V with m requests a user is that of correlated yes-or-no values,
    R (1 - R) (m + correlation · (m² - m)). Requests of a user
    on different days are independent, given how active the user is. Numbers of requests are
    lognormal, and C - R·V is normal for a given number, where fourth powers are needed.
    """
    share = service.n_daily_users / service.n_users
    days = np.arange(1, n_days + 1)
    n_users = service.n_users * -np.expm1(days * np.log1p(-min(share, 1 - 1e-12)))
    mean = service.daily_requests * service.n_daily_users * days / n_users
    squares = np.maximum(mean**2 * (1 + service.request_deviation**2), mean)
    odds = (1 - service.rate) / service.rate
    rho, come = service.correlation, n_users / service.n_users
    variances = odds * (mean + rho * (squares - mean)) / mean**2
    second, third, fourth = (mean**k * (squares / mean**2) ** (k * (k - 1) / 2) for k in (2, 3, 4))
    moments = (1 - rho) ** 2 * second + 2 * rho * (1 - rho) * third + rho**2 * fourth
    kurtosis = 3 * moments / (mean + rho * (squares - mean)) ** 2
    total = come * mean
    activity = (1 + service.request_deviation**2) * np.outer(total, total)
    own = np.maximum.accumulate(np.diag(activity) * (1 / come - 1))
    both = activity + np.minimum.outer(own, own)
    products = (1 - rho) * np.minimum.outer(total, total) + rho * both
    errors = np.sqrt((kurtosis - 1) / n_users)
    return ExperimentTraffic(n_users, np.sqrt(variances), _as_correlations(products), errors)


def measured(
    day: Rows, user: Rows, numerators: Doubles, denominators: Doubles
) -> ExperimentTraffic:
    """Return the traffic of past days.

    Args:
        day: (n,) day of each row, from 0; the rows are sums of one user on one day.
        user: (n,) number of the user of each row, from 0.
        numerators: (n,) such as clicks.
        denominators: (n,) such as requests, above 0.

    Raises:
        InputError: There are no rows, the metric is 0, or a day ends with one user.
    """
    if not len(day):
        raise InputError("traffic", "there are no requests", "give past days of the service")
    n_all = int(user.max()) + 1
    totals = np.zeros((2, n_all))
    n_users, deviations, errors, values = [], [], [], []
    for now in range(int(day.max()) + 1):
        rows = day == now
        totals[0] += np.bincount(user[rows], numerators[rows], n_all)
        totals[1] += np.bincount(user[rows], denominators[rows], n_all)
        come = totals[1] > 0
        found = user_sums(*totals[:, come]).rate()
        if found.rate == 0:
            raise InputError("traffic", "the metric is 0", "give days on which it is not")
        n_users.append(found.n_users)
        deviations.append(np.sqrt(found.variance) / found.rate)
        values.append(totals[0] - found.rate * totals[1])
        squares = values[-1][come] ** 2
        errors.append(squares.std() / squares.mean() / np.sqrt(found.n_users))
    correlations = _as_correlations(np.array(values) @ np.array(values).T)
    columns = np.array(n_users, np.float64), np.array(deviations), correlations
    return ExperimentTraffic(*columns, np.array(errors))


def _as_correlations(products: Doubles) -> Doubles:
    roots = np.sqrt(np.diag(products))
    return np.asarray(products / np.outer(roots, roots))
