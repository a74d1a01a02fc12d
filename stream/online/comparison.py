"""Two spans or generations compared: the difference of each metric, with an interval by user.

A metric is a ratio of sums, and the requests of one user are correlated, so the users are the
units. Each user moves the difference of the ratios by about

    influence_u = (numerator_u - ratio · denominator_u) / Σ denominator    after minus before

and the variance of the difference is n · var(influence). A user may be on both sides.

Source:
    Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import ndtr, ndtri

from batch.arrays import Doubles
from stream.online.figures import ALL, COLUMNS, METRICS, Labeller, OnlineMetric
from stream.online.users import user_sums

_LEVEL: Final = 0.05  # of all differences together
_UPPER_QUANTILE: Final = 0.975
_MIN_USERS: Final = 2


class RatioChange(NamedTuple):
    """Change of a ratio of sums.

    Attributes:
        before, after: Ratios.
        low, high: 95 % interval of `after - before`.
        p_value: Two-sided p-value.
    """

    before: float
    after: float
    low: float
    high: float
    p_value: float


class MetricChange(NamedTuple):
    """Change of a metric among the requests of one label.

    Attributes:
        label: Label, such as a group; `all` for all requests.
        metric: Name of the metric.
        n_before, n_after: Number of requests.
        change: Values and interval.
        is_significant: Whether it differs from 0 at 5 % for all changes together (Bonferroni).
    """

    label: str
    metric: str
    n_before: int
    n_after: int
    change: RatioChange
    is_significant: bool


def ratio_change(numerators: Doubles, denominators: Doubles) -> RatioChange | None:
    """Return the change of a ratio of sums over users, by the delta method.

    Args:
        numerators: (2, n_users) sums of each user before and after.
        denominators: (2, n_users) sums of the same form, 0 for a user without requests there.

    Returns:
        The change; None if a side has fewer than two users.
    """
    if ((denominators != 0).sum(axis=1) < _MIN_USERS).any():
        return None
    totals = denominators.sum(axis=1, keepdims=True)
    ratio = numerators.sum(axis=1, keepdims=True) / totals
    influence = np.diff((numerators - ratio * denominators) / totals, axis=0)[0]
    counted = influence[(denominators != 0).any(axis=0)]
    error = float(np.sqrt(len(counted) * counted.var(ddof=1)))
    before, after = ratio[:, 0].tolist()
    value, margin = after - before, float(ndtri(_UPPER_QUANTILE)) * error
    p_value = 2 * float(ndtr(-abs(value) / error)) if error else float(value == 0)
    return RatioChange(before, after, value - margin, value + margin, p_value)


def changes(
    before: Sequence[pa.Table],
    after: Sequence[pa.Table],
    labellers: Iterable[Labeller],
    min_users: int = _MIN_USERS,
) -> list[MetricChange]:
    """Return the change of every metric, over all requests and over those of each label.

    Args:
        before: Tables of `stream.online.hours.HOUR`.
        after: Tables of the same form.
        labellers: Functions that label requests.
        min_users: Number of users on each side below which a label is left out.
    """
    found = [
        (label, metric.name, *sides, change)
        for labeller in labellers
        for label in _labels((*before, *after), labeller)
        for users in ([user_sums(_labelled(one, labeller, label)) for one in (before, after)],)
        if label == ALL or min(map(len, users)) >= min_users
        for metric, sides, change in _of_label(users)
    ]
    level = _LEVEL / max(len(found), 1)
    return [
        MetricChange(label, name, n_before, n_after, change, change.p_value < level)
        for label, name, n_before, n_after, change in found
    ]


def _labels(tables: Sequence[pa.Table], labeller: Labeller) -> list[str]:
    names = {name for rows in tables for name in labeller(rows).names}
    return sorted(names, key=lambda name: (name != ALL, name))


def _of_label(
    sides: Sequence[pa.Table],
) -> Iterator[tuple[OnlineMetric, tuple[int, int], RatioChange]]:
    aligned = _aligned(sides)
    n_before, n_after = (int(side[0].sum()) for side in aligned)
    for metric in METRICS:
        columns = [COLUMNS.index(name) for name in (metric.numerator, metric.denominator)]
        change = ratio_change(*(aligned[:, column] for column in columns))
        if change:
            yield metric, (n_before, n_after), change


def _labelled(tables: Sequence[pa.Table], labeller: Labeller, label: str) -> Iterator[pa.Table]:
    for rows in tables:
        labels = labeller(rows)
        if label in labels.names:
            row = labels.row[labels.code == labels.names.index(label)]
            yield rows.take(pa.array(row))


def _aligned(sides: Sequence[pa.Table]) -> Doubles:
    """Return (2, n_columns, n_users) sums of the users of both sides."""
    users = [np.asarray(side["user_id"].to_pylist(), np.str_) for side in sides]
    everyone = np.union1d(*users)
    sums = np.zeros((2, len(COLUMNS), len(everyone)))
    for number, (side, ids) in enumerate(zip(sides, users, strict=True)):
        place = np.searchsorted(everyone, ids)
        for column, name in enumerate(COLUMNS):
            sums[number, column, place] = side[name].to_numpy()
    return sums
