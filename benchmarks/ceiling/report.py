"""Uplift, share of the ceiling and NDCG of a subject's lists, each with its 95 % interval.

uplift             Σ (value of the list - of the popular one) / Σ (of the best one - of the popular)
share of ceiling   Σ (value of the list - of the popular one) / Σ (of the ceiling - of the popular)

The value of a list is the true chance that an item of it is taken; as in the live report.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from batch.arrays import Doubles, Integers, Rows
from batch.evaluation.bootstrap import Interval, intervals, resampled_sums
from benchmarks.simulator.live.audience.oracle import ListValues, Oracle

_TAILS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one subject's lists, over users of the same number of views.

    Attributes:
        uplift: 0 for the popular list, 1 for the best possible one.
        of_ceiling: The same, 1 for the ceiling.
        ndcg: NDCG@20 by the true chances of the next view.
    """

    uplift: Interval
    of_ceiling: Interval
    ndcg: Interval


def measured(oracle: Oracle, user_rows: Rows, lists: Integers) -> ListValues:
    """Return the true values of the lists of any number of users."""
    parts = [
        oracle.measure(user_rows[begin : begin + oracle.max_lists], some.astype(np.int64))
        for begin in range(0, len(user_rows), oracle.max_lists)
        for some in (lists[begin : begin + oracle.max_lists],)
    ]
    return ListValues(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def figures(values: Mapping[str, ListValues], ceiling: str) -> dict[str, Figures]:
    """Return each subject's figures.

    Args:
        values: True values of the lists of the same users, by subject.
        ceiling: Name of the subject that shares refer to.
    """
    highest = values[ceiling].expected - values[ceiling].popular
    return {
        name: Figures(
            _ratio(of.expected - of.popular, of.best - of.popular),
            _ratio(of.expected - of.popular, highest),
            intervals(of.ndcg[:, None], np.ones((len(of.ndcg), 1), bool))[0][0],
        )
        for name, of in values.items()
    }


def _ratio(numerator: Doubles, denominator: Doubles) -> Interval:
    """Return the ratio of two sums over users, paired by user."""
    drawn = resampled_sums(np.column_stack((numerator, denominator)))
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], _TAILS)
    return Interval(float(numerator.sum() / denominator.sum()), float(low), float(high))
