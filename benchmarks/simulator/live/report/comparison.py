"""Two servers compared: how far their metrics lie apart, and whether that can be chance.

A metric is a ratio of sums, and users differ in how much they ask, so each
user's deviation from the server's ratio is tested, not each request:

    value_u = ratio + (of_u - ratio · per_u) / mean(per)

Its mean is the ratio, and users are independent of each other. Two samples of
them are compared by Welch's t-test, which lets their variances differ.

Source:
    Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD
    2018, section 3 (ratio metrics); Welch, Biometrika 34, 1947.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from benchmarks.simulator.live.report.metrics import METRICS, Metric, Sums
from benchmarks.simulator.world.items import Floats

_SURE: Final = 0.975


class Difference(NamedTuple):
    """The second server's metric less the first one's.

    Attributes:
        metric: Its name.
        value: The difference.
        low, high: 95 % interval of it.
        p_value: Chance of one as large, either way, if there were none.
    """

    metric: str
    value: float
    low: float
    high: float
    p_value: float


def compare(
    sums: Sums, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]
) -> list[Difference]:
    """Return the difference of each metric between two groups of users.

    Args:
        sums: Of all users.
        first: (n_users,) who was given the first server.
        second: (n_users,) who was given the second one.

    Returns:
        Nothing for metrics that fewer than two users of either side have.
    """
    return [
        difference
        for metric in METRICS
        if (difference := _difference(metric, sums, first, second)) is not None
    ]


def _difference(
    metric: Metric, sums: Sums, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]
) -> Difference | None:
    here, there = _values(metric, sums, first), _values(metric, sums, second)
    if min(len(here), len(there)) < 2:
        return None
    value = float(there.mean() - here.mean())
    errors = np.array([one.var(ddof=1) / len(one) for one in (here, there)])
    error = float(np.sqrt(errors.sum()))
    if error == 0:
        return Difference(metric.name, value, value, value, 0.0 if value else 1.0)
    n_free = errors.sum() ** 2 / (errors**2 / [len(here) - 1, len(there) - 1]).sum()
    reach = float(stdtrit(n_free, _SURE)) * error
    p_value = 2 * float(stdtr(n_free, -abs(value) / error))
    return Difference(metric.name, value, value - reach, value + reach, p_value)


def _values(metric: Metric, sums: Sums, who: npt.NDArray[np.bool_]) -> Floats:
    """Return one value for each user who has some of what the metric is divided by."""
    has = who & (sums[metric.per] != 0)
    of, per = sums[metric.of][has], sums[metric.per][has]
    if not len(per) or per.sum() == 0:
        return np.empty(0)
    ratio = of.sum() / per.sum()
    return np.asarray(ratio + (of - ratio * per) / per.mean())
