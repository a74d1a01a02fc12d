"""Metrics of a run: what users did with the lists, and what the lists were truly worth.

Each is a sum over the users divided by another one, as clicks by requests. It
comes with the 95 % interval of a bootstrap over users, for the requests of one
user are alike.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from batch.evaluation.bootstrap import Interval, resampled_sums
from benchmarks.simulator.live.report.records import Records
from benchmarks.simulator.world.items import Floats

_MOST_UNITS: Final = 5_000  # more users than that are drawn in bundles
_TAILS: Final = (0.025, 0.975)


class Metric(NamedTuple):
    """One figure.

    Attributes:
        name: As it is reported.
        of, per: Columns of which the sums are divided.
        about: In words.
    """

    name: str
    of: str
    per: str
    about: str


METRICS: Final = (
    Metric("click_through", "clicks", "requests", "an item of the list was watched, a request"),
    Metric("mrr", "reciprocal_rank", "requests", "1 / its place in the list, else 0, a request"),
    Metric("minutes", "minutes", "requests", "watched of it, a request"),
    Metric("cost", "cost", "clicks", "USD of licences, a view from a list"),
    Metric("rating", "stars", "ratings", "stars of 5, of views from a list"),
    Metric("own_views", "own", "requests", "something else was watched, a request"),
    Metric("expected_clicks", "expected", "requests", "true chance of a click, lists as shown"),
    Metric("of_popular", "popular", "measured", "that chance if all were shown the popular list"),
    Metric("of_shown", "shown", "measured", "that chance of the lists shown, of the same users"),
    Metric("of_best", "best", "measured", "that chance of the best possible lists"),
    Metric("uplift", "gained", "gainable", "where lists stand from popular (0) to best (1)"),
    Metric("ndcg", "ndcg", "measured", "of the lists shown, by true chances to be watched next"),
)

Sums = dict[str, Floats]


def user_sums(records: Records, user: npt.NDArray[np.int64], n_users: int) -> Sums:
    """Return for each column that a metric needs its (n_users,) sums.

    Args:
        records: Of well-formed requests.
        user: Whose each of them is.
        n_users: How many users there are.
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


def metric_intervals(sums: Sums, who: npt.NDArray[np.bool_], seed: int) -> list[Interval]:
    """Return the interval of each of METRICS over some users.

    Args:
        sums: Of all users.
        who: (n_users,) which of them.
        seed: Of the bootstrap.
    """
    names = sorted({name for metric in METRICS for name in (metric.of, metric.per)})
    columns = _bundled(np.stack([sums[name][who] for name in names], axis=1))
    total = dict(zip(names, columns.sum(axis=0), strict=True))
    with threadpool_limits(1, "blas"):
        drawn = dict(zip(names, resampled_sums(columns, seed=seed).T, strict=True))
    return [
        _interval(total[metric.of], total[metric.per], drawn[metric.of], drawn[metric.per])
        for metric in METRICS
    ]


def _bundled(columns: Floats) -> Floats:
    """Add up rows of different users where there are very many: bundles vary as much, in sum."""
    if len(columns) <= _MOST_UNITS:
        return columns if len(columns) else np.zeros((1, columns.shape[1]))
    bundle = np.arange(len(columns)) % _MOST_UNITS
    return np.stack([np.bincount(bundle, column) for column in columns.T], axis=1)


def _interval(of: float, per: float, of_drawn: Floats, per_drawn: Floats) -> Interval:
    """Return the ratio of two sums; 0 where there is nothing to divide by."""
    if per == 0:
        return Interval(0.0, 0.0, 0.0)
    is_there = per_drawn != 0
    low, high = np.quantile(of_drawn[is_there] / per_drawn[is_there], _TAILS)
    return Interval(float(of / per), float(low), float(high))
