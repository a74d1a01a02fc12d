"""Comparison of two servers: the difference of each metric, and its significance.

A metric is a ratio of sums, and users differ in their numbers of requests, so each
user's deviation from the server's ratio is tested, not each request:

    value_u = ratio + (numerator_u - ratio · denominator_u) / mean(denominator)

Its mean is the ratio, and users are independent of each other. Two samples of
them are compared by Welch's t-test, which lets their variances differ.

Source:
    Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD
    2018, section 3 (ratio metrics); Welch, Biometrika 34, 1947.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from batch.arrays import Doubles, Flags
from benchmarks.simulator.live.report.metrics import METRICS, Metric, Sums

_UPPER_QUANTILE: Final = 0.975  # of a two-sided 95 % interval


class Difference(NamedTuple):
    """Difference of a metric, the second server minus the first one.

    Attributes:
        metric: Name of the metric.
        value: Difference.
        low, high: 95 % interval of the difference.
        p_value: Two-sided p-value.
    """

    metric: str
    value: float
    low: float
    high: float
    p_value: float


def compare(sums: Sums, first: Flags, second: Flags) -> list[Difference]:
    """Return the difference of each metric between two groups of users.

    Args:
        sums: Sums of all users.
        first: (n_users,) True for users of the first server.
        second: (n_users,) True for users of the second server.

    Returns:
        Differences of the metrics that at least two users of each server have.
    """
    return [
        difference
        for metric in METRICS
        if (difference := _difference(metric, sums, first, second)) is not None
    ]


def _difference(metric: Metric, sums: Sums, first: Flags, second: Flags) -> Difference | None:
    here, there = _values(metric, sums, first), _values(metric, sums, second)
    if min(len(here), len(there)) < 2:
        return None
    value = float(there.mean() - here.mean())
    errors = np.array([one.var(ddof=1) / len(one) for one in (here, there)])
    error = float(np.sqrt(errors.sum()))
    if error == 0:
        return Difference(metric.name, value, value, value, 0.0 if value else 1.0)
    degrees_of_freedom = errors.sum() ** 2 / (errors**2 / [len(here) - 1, len(there) - 1]).sum()
    margin = float(stdtrit(degrees_of_freedom, _UPPER_QUANTILE)) * error
    p_value = 2 * float(stdtr(degrees_of_freedom, -abs(value) / error))
    return Difference(metric.name, value, value - margin, value + margin, p_value)


def _values(metric: Metric, sums: Sums, who: Flags) -> Doubles:
    """Return a value for each user with a denominator other than 0."""
    has = who & (sums[metric.denominator] != 0)
    numerator, denominator = sums[metric.numerator][has], sums[metric.denominator][has]
    if not len(denominator) or denominator.sum() == 0:
        return np.empty(0)
    ratio = numerator.sum() / denominator.sum()
    return np.asarray(ratio + (numerator - ratio * denominator) / denominator.mean())
