"""Bootstrap intervals of means: how far a figure would move with other users like these.

    users drawn with replacement ─► mean ─► … 1,000 times … ─► its 2.5 % and 97.5 % quantiles

All figures are resampled by the same draws, so that a difference of two models is one
over the same users: paired, and much sharper than two intervals side by side.

Source:
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3
    (percentile intervals).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles

_RESAMPLES: Final = 1000
_TAIL: Final = 0.025
_DRAWS: Final = 32  # in one matrix product: one by one, reading the figures would take all the time


class Interval(NamedTuple):
    """A mean and where it would lie in 95 % of such samples.

    Attributes:
        mean: Over the users.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
    """

    mean: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether 0 lies outside: of a difference, that it is one."""
        return self.low > 0 or self.high < 0


def intervals(
    figures: Doubles,
    groups: npt.NDArray[np.bool_],
    *,
    seed: int = 0,
    n_resamples: int = _RESAMPLES,
) -> list[list[Interval]]:
    """Return the interval of each figure's mean in each group of users.

    Args:
        figures: (n_users, n_figures), finite.
        groups: (n_users, n_groups), who is in it; a group may be empty (mean 0).
        seed: Of the draws.
        n_resamples: Draws.

    Returns:
        A list a group, of an interval a figure.
    """
    n_users, n_figures = figures.shape
    n_groups = groups.shape[1]
    inside = groups.astype(np.float64)
    columns = (figures[:, None, :] * inside[:, :, None]).reshape(n_users, -1)
    columns = np.concatenate((columns, inside), axis=1)
    with threadpool_limits(1, "blas"):  # more threads gain nothing on so few columns
        draws = resampled_sums(columns, n_resamples, seed)
    truth = np.nan_to_num(_means(columns.sum(axis=0)[None], n_groups)[0])
    low, high = (
        np.where(np.isnan(edge), truth, edge)  # a group that no draw has met
        for edge in _quantiles(_means(draws, n_groups))
    )
    return [
        [
            Interval(float(truth[g, f]), float(low[g, f]), float(high[g, f]))
            for f in range(n_figures)
        ]
        for g in range(n_groups)
    ]


def resampled_sums(columns: Doubles, n_resamples: int = _RESAMPLES, seed: int = 0) -> Doubles:
    """Return (n_resamples, n_columns) sums over users, the rows, drawn with replacement."""
    random = np.random.default_rng(seed)
    n_users = len(columns)
    sums = np.empty((n_resamples, columns.shape[1]))
    for first in range(0, n_resamples, _DRAWS):
        block = sums[first : first + _DRAWS]
        times_drawn = np.empty((len(block), n_users))
        for row in times_drawn:
            row[:] = np.bincount(random.integers(0, n_users, n_users), minlength=n_users)
        block[:] = times_drawn @ columns
    return sums


def _means(sums: Doubles, n_groups: int) -> Doubles:
    """Return (n, n_groups, n_figures) from sums whose last columns count the users.

    NaN where a group has nobody: a draw may miss a small one.
    """
    n_members = sums[:, -n_groups:, None]
    totals = sums[:, :-n_groups].reshape(len(sums), n_groups, -1)
    means = np.full(totals.shape, np.nan)
    np.divide(totals, n_members, out=means, where=n_members > 0)
    return means


def _quantiles(means: Doubles) -> tuple[Doubles, Doubles]:
    """Return both tails over the draws, those left out in which a group had nobody."""
    ordered = np.sort(means, axis=0)  # NaN last
    n_met = (~np.isnan(means)).sum(axis=0)
    low, high = (
        np.take_along_axis(
            ordered, np.maximum(np.rint(share * (n_met - 1)), 0).astype(np.int64)[None], axis=0
        )[0]
        for share in (_TAIL, 1 - _TAIL)
    )
    return low, high
