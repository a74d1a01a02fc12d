"""Figures: sums over requests, ratios of them, and percentiles of latency.

    rows of HOUR ─► columns to be summed ─► Sums by label ─► METRICS with intervals

Sums add up over hours, so a span of any length is read an hour at a time. Latencies are
counted by the millisecond, so their percentiles are exact. Requests of one user are
correlated, so sums are kept by random group of users, and these are what intervals vary by.

Source:
    Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", KDD 2018.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import stdtrit

from batch.arrays import Codes, Doubles, Rows
from batch.events.ids import codes_of, whole
from stream.online.hours import HOUR_SECONDS
from stream.online.served_lists import is_personal
from stream.user_hashes import N_GROUPS, user_hashes

ALL: Final = "all"
_MIN_GROUPS: Final = 2
_UPPER_QUANTILE: Final = 0.975
PERCENTILES: Final = {
    "p50_ms": 50.0,
    "p90_ms": 90.0,
    "p99_ms": 99.0,
    "p99.9_ms": 99.9,
    "max_ms": 100.0,
}


class OnlineMetric(NamedTuple):
    """One metric, a ratio of two sums over requests.

    Attributes:
        name: Name in tables, JSON and gauges.
        numerator, denominator: Columns of `summed_columns` whose sums are divided.
        description: Description in words.
        is_higher_better: Whether more is better.
    """

    name: str
    numerator: str
    denominator: str
    description: str
    is_higher_better: bool = True


METRICS: Final = (
    OnlineMetric("availability", "n_available", "n_requests", "requests answered by the rules"),
    OnlineMetric("personalised", "n_personal", "n_available", "answers made for their user"),
    OnlineMetric("click_through", "n_clicks", "n_requests", "requests with a view from the list"),
    OnlineMetric("mrr", "reciprocal_rank", "n_requests", "1 / rank of the first view, else 0"),
    OnlineMetric("minutes", "minutes", "n_requests", "minutes watched from the list, per request"),
    OnlineMetric("watch_through", "watched_share", "n_timed", "share of the runtime, per view"),
    OnlineMetric("rating", "rating", "n_ratings", "mean rating after a view from the list"),
    OnlineMetric("cost", "cost", "n_priced", "USD of licences, per view from a list", False),
    OnlineMetric("other_views", "n_other_views", "n_requests", "other views, per request", False),
    OnlineMetric("mean_ms", "milliseconds", "n_requests", "milliseconds of an answer", False),
)
_SUMMED: Final = (
    "n_shown", "n_views", "minutes", "n_timed", "watched_share", "n_ratings", "rating",
    "n_priced", "cost", "n_other_views", "n_control_clicks", "n_treatment_clicks", "milliseconds",
)  # fmt: skip
COLUMNS: Final = (
    "n_requests",
    "n_available",
    "n_personal",
    "n_clicks",
    "reciprocal_rank",
    *_SUMMED,
)


def summed_columns(rows: pa.Table) -> dict[str, Doubles]:
    """Return the (n_requests,) columns that are summed, by name.

    Args:
        rows: Table of `stream.online.hours.HOUR`.
    """
    rank = rows["rank"].to_numpy()
    is_available = rows["is_available"].to_numpy().astype(np.float64)
    source = whole(rows["source"])
    of_source = np.array([is_personal(name) for name in source.dictionary.to_pylist()], np.float64)
    columns = {
        "n_requests": np.ones(len(rows)),
        "n_available": is_available,
        "n_personal": is_available * of_source[codes_of(source)],
        "n_clicks": (rank > 0).astype(np.float64),
        "reciprocal_rank": (rank > 0) / np.maximum(rank, 1),
    }
    return columns | {name: rows[name].to_numpy().astype(np.float64) for name in _SUMMED}


class Sums:
    """Sums over some requests.

    Args:
        limit_ms: Limit of an answer's time in milliseconds; longer times count as the limit.

    Attributes:
        totals: (len(COLUMNS), N_GROUPS) sums of each of COLUMNS by random group of users.
        latencies: (limit_ms + 1,) number of requests by milliseconds.
        users: Hashes of the users, or of as many as had to be counted.
    """

    def __init__(self, limit_ms: int) -> None:
        self.totals: Doubles = np.zeros((len(COLUMNS), N_GROUPS))
        self.latencies: Rows = np.zeros(limit_ms + 1, np.int64)
        self.users: set[int] = set()

    def total(self, name: str) -> float:
        """Return the sum of a column."""
        return float(self.totals[COLUMNS.index(name)].sum())

    def value(self, metric: OnlineMetric) -> float | None:
        """Return a metric, None where nothing is counted."""
        denominator = self.total(metric.denominator)
        return self.total(metric.numerator) / denominator if denominator else None

    def interval(self, metric: OnlineMetric) -> tuple[float, float] | None:
        """Return the 95 % interval of a metric by user, None without two groups of users."""
        names = (metric.numerator, metric.denominator)
        numerators, denominators = (self.totals[COLUMNS.index(name)] for name in names)
        if np.count_nonzero(denominators) < _MIN_GROUPS:
            return None
        rate, error = _rate_of_groups(numerators, denominators)
        margin = float(stdtrit(N_GROUPS - 1, _UPPER_QUANTILE)) * error
        return rate - margin, rate + margin

    def percentiles(self) -> dict[str, float]:
        """Return the percentiles of latency in milliseconds, interpolated linearly."""
        ends = np.cumsum(self.latencies)
        if not ends[-1]:
            return {}
        found = {}
        for name, share in PERCENTILES.items():
            place = (ends[-1] - 1) * share / 100
            low, high = np.searchsorted(ends, (np.floor(place), np.ceil(place)), side="right")
            found[name] = float(low + (high - low) * (place - np.floor(place)))
        return found


def _rate_of_groups(numerators: Doubles, denominators: Doubles) -> tuple[float, float]:
    """Return the ratio of two sums over groups of users, and its standard error."""
    total = denominators.sum()
    rate = numerators.sum() / total
    residual = (numerators - rate * denominators) / total
    return float(rate), float(np.sqrt(residual @ residual * N_GROUPS / (N_GROUPS - 1)))


class Labels(NamedTuple):
    """Labels of requests; a request may have several, or none.

    Attributes:
        row: (n,) rows of requests.
        code: (n,) positions in `names`.
        names: Distinct labels.
    """

    row: Rows
    code: Codes
    names: Sequence[str]


Labeller = Callable[[pa.Table], Labels]


def by_all(rows: pa.Table) -> Labels:
    """Label every request `all`."""
    return Labels(np.arange(len(rows)), np.zeros(len(rows), np.int32), (ALL,))


def by_source(rows: pa.Table) -> Labels:
    """Label requests by the source of their lists; failed ones have none."""
    return _by_names(rows["source"], lambda name: [name or "failed"])


def by_group(rows: pa.Table) -> Labels:
    """Label requests by each part of their users' segments: `25-34` and `F` for `25-34/F`."""
    return _by_names(rows["segment"], groups_of)


def groups_of(segment: str) -> list[str]:
    """Return the groups of the users of a segment."""
    return segment.split("/") if segment else ["unknown"]


def by_generation(rows: pa.Table) -> Labels:
    """Label requests by the generation that answered."""
    return by_arm({})(rows)


def by_arm(arms: Mapping[int, str]) -> Labeller:
    """Return a labeller by arm.

    Args:
        arms: Arm by generation; other generations are labelled by their number.
    """

    def label(rows: pa.Table) -> Labels:
        distinct, code = np.unique(rows["generation"].to_numpy(), return_inverse=True)
        names = [arms.get(number, str(number)) for number in distinct.tolist()]
        return Labels(np.arange(len(rows)), code.astype(np.int32), names)

    return label


def by_hour(rows: pa.Table) -> Labels:
    """Label requests by the hour, such as `2026-11-14T12`."""
    distinct, code = np.unique(rows["at"].to_numpy() // HOUR_SECONDS, return_inverse=True)
    names = np.datetime_as_string(distinct.astype("datetime64[h]")).tolist()
    return Labels(np.arange(len(rows)), code.astype(np.int32), names)


def sums_by_label(
    tables: Iterable[pa.Table], label: Labeller, limit_ms: int, min_users: int = 0
) -> dict[str, Sums]:
    """Return the sums of each label, in the order of their names.

    Args:
        tables: Tables of `stream.online.hours.HOUR`.
        label: Function that labels the requests of a table.
        limit_ms: Limit of an answer's time in milliseconds.
        min_users: Number of users up to which those of a label are counted.
    """
    found: dict[str, Sums] = {}
    for rows in tables:
        columns = summed_columns(rows)
        labels = label(rows)
        n = len(labels.names)
        users = user_hashes(rows["user_id"])[labels.row]
        group = labels.code.astype(np.int64) * N_GROUPS + (users % N_GROUPS).astype(np.int64)
        summed = [np.bincount(group, columns[name][labels.row], n * N_GROUPS) for name in COLUMNS]
        totals = np.array(summed).reshape(len(COLUMNS), n, N_GROUPS)
        milliseconds = np.clip(rows["milliseconds"].to_numpy()[labels.row], 0, limit_ms)
        cell = labels.code.astype(np.int64) * (limit_ms + 1) + milliseconds
        latencies = np.bincount(cell, minlength=n * (limit_ms + 1)).reshape(n, -1)
        for code, name in enumerate(labels.names):
            sums = found.setdefault(name, Sums(limit_ms))
            sums.totals += totals[:, code]
            sums.latencies += latencies[code]
            if len(sums.users) < min_users:
                sums.users.update(np.unique(users[labels.code == code]).tolist())
    return dict(sorted(found.items()))


def _by_names(column: pa.ChunkedArray, labels_of: Callable[[str], list[str]]) -> Labels:
    """Label rows by names that depend on a column of few distinct values."""
    ids = whole(column)
    of_value = [labels_of(value) for value in ids.dictionary.to_pylist()]
    names = sorted({name for labels in of_value for name in labels})
    code_of = {name: code for code, name in enumerate(names)}
    codes = codes_of(ids)
    rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for value, labels in enumerate(of_value):
        row = np.flatnonzero(codes == value)
        for name in labels:
            rows.append(row)
            found.append(np.full(len(row), code_of[name], np.int32))
    return Labels(np.concatenate(rows), np.concatenate(found), names)
