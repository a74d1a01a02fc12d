"""Metrics of a run: the users' reactions to the lists, and the true values of the lists.

Each is a sum over the users divided by another one, such as clicks by requests. Its
95 % interval is bootstrapped over users, because the requests of one user are
correlated.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Flags, Records, Rows
from batch.evaluation.bootstrap import Interval, resampled_sums

_MAX_UNITS: Final = 5_000  # more users are resampled in bundles
_TAILS: Final = (0.025, 0.975)


class Metric(NamedTuple):
    """One metric, a ratio of two sums.

    Attributes:
        name: Name in reports.
        numerator, denominator: Columns whose sums are divided.
        description: Description in words.
    """

    name: str
    numerator: str
    denominator: str
    description: str


METRICS: Final = (
    Metric("click_through", "clicks", "requests", "views from the list, per request"),
    Metric("mrr", "reciprocal_rank", "requests", "1 / rank of the view, else 0, per request"),
    Metric("minutes", "minutes", "requests", "minutes watched of it, per request"),
    Metric("cost", "cost", "clicks", "USD of licences, per view from a list"),
    Metric("rating", "stars", "ratings", "stars of 5, per rating of a view from a list"),
    Metric("own_views", "own", "requests", "other views, per request"),
    Metric("expected_clicks", "expected", "requests", "true click probability, lists as shown"),
    Metric("of_popular", "popular", "measured", "the same, if all were shown the popular list"),
    Metric("of_shown", "shown", "measured", "the same, lists as shown, of the same users"),
    Metric("of_best", "best", "measured", "the same, of the best possible lists"),
    Metric("uplift", "gained", "gainable", "value of the lists between popular (0) and best (1)"),
    Metric("ndcg", "ndcg", "measured", "NDCG of the lists shown, by true probabilities"),
)

Sums = dict[str, Doubles]


def user_sums(records: Records, user: Rows, n_users: int) -> Sums:
    """Return the (n_users,) sums of each column that a metric needs.

    Args:
        records: Records of well-formed requests.
        user: (n,) number of the user of each request, from 0.
        n_users: Number of users.
    """
    rank = records["rank"].astype(np.float64)
    is_measured = ~np.isnan(records["best"])
    shown = np.where(is_measured, records["expected"], 0)
    columns: dict[str, npt.NDArray[Any]] = {
        "requests": np.ones(len(records)),
        "clicks": rank > 0,
        "reciprocal_rank": (rank > 0) / np.maximum(rank, 1),
        "minutes": records["minutes"],
        "cost": records["cost"],
        "stars": records["stars"] / 2,
        "ratings": records["stars"] > 0,
        "own": records["own"],
        "expected": records["expected"],
        "measured": is_measured,
        "shown": shown,
        "gained": shown - np.nan_to_num(records["popular"]),
        "gainable": np.nan_to_num(records["best"] - records["popular"]),
        **{name: np.nan_to_num(records[name]) for name in ("best", "popular", "ndcg")},
    }
    return {
        name: np.asarray(np.bincount(user, column.astype(np.float64), n_users), np.float64)
        for name, column in columns.items()
    }


def metric_intervals(sums: Sums, who: Flags, seed: int) -> list[Interval]:
    """Return the interval of each of METRICS over some users.

    Args:
        sums: Sums of all users.
        who: (n_users,) True for the users to include.
        seed: Random seed of the bootstrap.
    """
    names = sorted({name for metric in METRICS for name in (metric.numerator, metric.denominator)})
    columns = _bundled(np.stack([sums[name][who] for name in names], axis=1))
    total = dict(zip(names, columns.sum(axis=0), strict=True))
    with threadpool_limits(1, "blas"):
        drawn = dict(zip(names, resampled_sums(columns, seed=seed).T, strict=True))
    ratios = (
        (total[metric.numerator], total[metric.denominator],
         drawn[metric.numerator], drawn[metric.denominator])
        for metric in METRICS
    )  # fmt: skip
    return [_interval(*ratio) for ratio in ratios]


def _bundled(columns: Doubles) -> Doubles:
    """Add up rows of several users where there are very many; the variance of sums stays."""
    if len(columns) <= _MAX_UNITS:
        return columns if len(columns) else np.zeros((1, columns.shape[1]))
    bundle = np.arange(len(columns)) % _MAX_UNITS
    return np.stack([np.bincount(bundle, column) for column in columns.T], axis=1)


def _interval(
    numerator: float, denominator: float, drawn_numerators: Doubles, drawn_denominators: Doubles
) -> Interval:
    """Return the ratio of two sums with its interval; 0 where the denominator is 0."""
    if denominator == 0:
        return Interval(0.0, 0.0, 0.0)
    is_there = drawn_denominators != 0
    ratios = drawn_numerators[is_there] / drawn_denominators[is_there]
    low, high = np.quantile(ratios, _TAILS)
    return Interval(float(numerator / denominator), float(low), float(high))
