"""Bootstrap intervals of means: how far a metric would vary with other users of the same kind.

    users sampled with replacement ─► mean ─► … 1,000 times … ─► 2.5 % and 97.5 % quantiles

All metrics are resampled with the same draws. The difference of two models is therefore
paired by user, and its interval is much narrower than those of the two models.

Source:
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3
    (percentile intervals).
"""

from typing import Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Flags

_N_RESAMPLES: Final = 1000
_TAIL: Final = 0.025
_DRAWS_PER_PRODUCT: Final = 32  # one by one, reading the metrics would dominate the time


class Interval(NamedTuple):
    """A mean and its 95 % bootstrap interval.

    Attributes:
        mean: Mean over the users.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
    """

    mean: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0


def intervals(
    metrics: Doubles,
    groups: Flags,
    *,
    seed: int = 0,
    n_resamples: int = _N_RESAMPLES,
) -> list[list[Interval]]:
    """Return the interval of each metric's mean in each group of users.

    Args:
        metrics: (n_users, n_metrics), finite.
        groups: (n_users, n_groups) membership; a group may be empty (mean 0).
        seed: Random seed of the draws.
        n_resamples: Number of draws.

    Returns:
        A list for each group, of an interval for each metric.
    """
    n_users, n_metrics = metrics.shape
    n_groups = groups.shape[1]
    membership = groups.astype(np.float64)
    columns = (metrics[:, None, :] * membership[:, :, None]).reshape(n_users, -1)
    columns = np.concatenate((columns, membership), axis=1)
    with threadpool_limits(1, "blas"):  # more threads gain nothing on so few columns
        draws = resampled_sums(columns, n_resamples, seed)
    means = np.nan_to_num(_means(columns.sum(axis=0)[None], n_groups)[0])
    low, high = (
        np.where(np.isnan(edge), means, edge)  # a group without members in every draw
        for edge in _quantiles(_means(draws, n_groups))
    )
    return [
        [
            Interval(float(means[g, m]), float(low[g, m]), float(high[g, m]))
            for m in range(n_metrics)
        ]
        for g in range(n_groups)
    ]


def resampled_sums(columns: Doubles, n_resamples: int = _N_RESAMPLES, seed: int = 0) -> Doubles:
    """Return (n_resamples, n_columns) sums over users, the rows, sampled with replacement."""
    random = np.random.default_rng(seed)
    n_users = len(columns)
    sums = np.empty((n_resamples, columns.shape[1]))
    for first in range(0, n_resamples, _DRAWS_PER_PRODUCT):
        block = sums[first : first + _DRAWS_PER_PRODUCT]
        multiplicity = np.empty((len(block), n_users))
        for row in multiplicity:
            row[:] = np.bincount(random.integers(0, n_users, n_users), minlength=n_users)
        block[:] = multiplicity @ columns
    return sums


def _means(sums: Doubles, n_groups: int) -> Doubles:
    """Return (n, n_groups, n_metrics) from sums whose last columns count the users.

    NaN where a group has no member in a draw.
    """
    n_members = sums[:, -n_groups:, None]
    totals = sums[:, :-n_groups].reshape(len(sums), n_groups, -1)
    means = np.full(totals.shape, np.nan)
    np.divide(totals, n_members, out=means, where=n_members > 0)
    return means


def _quantiles(means: Doubles) -> tuple[Doubles, Doubles]:
    """Return both tails over the draws in which a group has members."""
    ordered = np.sort(means, axis=0)  # NaN last
    n_draws = (~np.isnan(means)).sum(axis=0)
    low, high = (
        np.take_along_axis(
            ordered, np.maximum(np.rint(share * (n_draws - 1)), 0).astype(np.int64)[None], axis=0
        )[0]
        for share in (_TAIL, 1 - _TAIL)
    )
    return low, high
