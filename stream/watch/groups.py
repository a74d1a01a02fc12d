"""The quality of the lists for each group of users, and whether a group is served worse.

    hours that `online` keeps ─► sums of each user ─► groups: 25-34, F, …, known, new
        last 24 hours            clicks and minutes a request, with an interval by user
        since the period began   each group against all other users

A period has `reference_days` days, counted from 1970, so the data do not decide when it
begins. Within it the difference may be looked at at any time: the interval is that of an
always-valid sequence, at the level alpha / (groups · metrics). `known` users had 5 views
before the period; views within it are what is measured.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from batch.arrays import Flags, Hashes
from batch.events.fold import DAY_SECONDS
from batch.events.ids import codes_of, whole
from stream.experiments.statistics.compare import Comparison, compare
from stream.experiments.statistics.cuped import UserValues
from stream.experiments.statistics.designs import MIN_USERS, AlwaysValid, Fixed, bonferroni
from stream.experiments.statistics.effects import Effect
from stream.online.figures import METRICS, OnlineMetric, groups_of, summed_columns
from stream.online.hours import HourFiles
from stream.user_hashes import user_hashes
from stream.watch.figures import Figure
from stream.watch.settings import WatchSettings

_METRICS: Final = tuple(one for one in METRICS if one.name in ("click_through", "minutes"))
_SUMMED: Final = ("n_requests", "n_clicks", "minutes", "n_views", "n_other_views")
_MIN_VIEWS: Final = 5
_N_PLANNED: Final = 2_000  # users at which the interval is narrowest; at 200,000 it is 1.1 times it
_MERGE_ROWS: Final = 1_000_000


class GroupHours(NamedTuple):
    """Where the quality of groups is read from.

    Attributes:
        hours: Requests with what came of them.
        click_seconds: Seconds after an answer within which a view is a click.
        min_users: Number of users below which a group is not shown.
    """

    hours: HourFiles
    click_seconds: int
    min_users: int


def group_quality(source: GroupHours, settings: WatchSettings, end_at: int) -> Iterator[Figure]:
    """Yield the quality of each group in the 24 hours before a time, and its difference.

    Raises:
        StreamError: An hour is damaged.
    """
    begin = period_begin(end_at, settings.reference_days)
    known = known_users(source, begin, settings.reference_days)
    last = sums_of_users(source.hours.tables(end_at - DAY_SECONDS, end_at))
    period = sums_of_users(source.hours.tables(begin, end_at))
    in_last, in_period = groups_of_users(last, known), groups_of_users(period, known)
    date = str(np.datetime64(begin, "s").astype("datetime64[D]"))
    for metric in _METRICS:
        yield from _values(last, in_last, metric, source.min_users)
        tested = differences(period, in_period, metric, source.min_users, settings.alpha)
        for group, found in tested:
            if math.isfinite(found.lift):
                yield _gap(f"{metric.name}_gap", group, found, settings.max_group_loss, date)
    for span, users, groups in (("24 hours", last, in_last), ("the period", period, in_period)):
        few = [name for name, is_in in groups.items() if _n_users(users, is_in) < source.min_users]
        if few:
            note = f"fewer than {source.min_users} users: {', '.join(few)}"
            yield Figure("suppressed", f"groups of {span}", len(few), note=note)


def period_begin(end_at: int, n_days: int) -> int:
    """Return the begin of the period that the hour before a time belongs to."""
    return (end_at - 1) // DAY_SECONDS // n_days * n_days * DAY_SECONDS


def known_users(source: GroupHours, begin: int, n_days: int) -> Hashes:
    """Return the users with 5 views in the days before a period, from lists or others."""
    since, until = begin - n_days * DAY_SECONDS, begin - source.click_seconds
    users = sums_of_users(source.hours.tables(since, until)).groupby("user").sum(numeric_only=True)
    is_known = users["n_views"] + users["n_other_views"] >= _MIN_VIEWS
    return np.asarray(users.index[is_known].to_numpy(), np.uint64)


def sums_of_users(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """Return the sums of requests by `user`, a hash, and `segment`.

    Args:
        tables: Tables of `stream.online.hours.HOUR`.
    """
    total, parts, n_rows = _merged([]), [], 0
    for rows in tables:
        parts.append(_merged([_columns(rows)]))
        n_rows += len(parts[-1])
        if n_rows > max(_MERGE_ROWS, len(total)):
            total, parts, n_rows = _merged([total, *parts]), [], 0
    return _merged([total, *parts])


def _columns(rows: pa.Table) -> pd.DataFrame:
    segment = whole(rows["segment"])
    names = segment.dictionary.to_numpy(zero_copy_only=False)
    columns = summed_columns(rows)
    of_rows = {"user": user_hashes(rows["user_id"]), "segment": names[codes_of(segment)]}
    return pd.DataFrame(of_rows | {name: columns[name] for name in _SUMMED})


def _merged(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        none = {name: np.zeros(0) for name in _SUMMED}
        return pd.DataFrame({"user": np.zeros(0, np.uint64), "segment": np.zeros(0, object)} | none)
    return pd.concat(parts).groupby(["user", "segment"], as_index=False).sum()


def groups_of_users(users: pd.DataFrame, known: Hashes) -> dict[str, Flags]:
    """Return which rows of `sums_of_users` are of each group; `known` and `new` if anyone is."""
    code, segments = pd.factorize(users["segment"])
    of_segment = [groups_of(name) for name in segments]
    names = sorted({name for groups in of_segment for name in groups})
    found = {
        name: np.array([name in groups for groups in of_segment], np.bool_)[code] for name in names
    }
    is_known = np.isin(users["user"].to_numpy(), known)
    return found | ({"known": is_known, "new": ~is_known} if is_known.any() else {})


def differences(
    users: pd.DataFrame,
    groups: Mapping[str, Flags],
    metric: OnlineMetric,
    min_users: int,
    alpha: float,
) -> Iterator[tuple[str, Comparison]]:
    """Yield each group with its comparison with all other users, valid at every look.

    Args:
        users: Sums of the users since a begin that the data did not decide.
        groups: Rows of each group.
        metric: Metric that is compared.
        min_users: Number of users below which a group is left out; below 200 it is in any case,
            for the variance of few users is too uncertain for so small a level.
        alpha: Probability that any difference of equal groups is found at any look.
    """
    design = AlwaysValid(_N_PLANNED, bonferroni(alpha, max(len(groups), 1), len(_METRICS)))
    for name, is_in in groups.items():
        sides = [_user_values(users, rows, metric) for rows in (~is_in, is_in)]
        if min(len(side.denominators) for side in sides) >= max(min_users, MIN_USERS):
            yield name, compare(sides[0], sides[1], design)


def _user_values(users: pd.DataFrame, is_in: Flags, metric: OnlineMetric) -> UserValues:
    """Return the sums of each user of some rows; users have two if their segment changed."""
    distinct, row = np.unique(users["user"].to_numpy()[is_in], return_inverse=True)
    columns = (users[name].to_numpy()[is_in] for name in (metric.numerator, metric.denominator))
    sums = [np.bincount(row, column, len(distinct)).astype(np.float64) for column in columns]
    return UserValues(sums[0], sums[1])


def _n_users(users: pd.DataFrame, is_in: Flags) -> int:
    return len(np.unique(users["user"].to_numpy()[is_in]))


def _values(
    users: pd.DataFrame, groups: Mapping[str, Flags], metric: OnlineMetric, min_users: int
) -> Iterator[Figure]:
    for name, is_in in groups.items():
        values = _user_values(users, is_in, metric)
        if len(values.denominators) < max(min_users, 2):
            continue
        rate = values.rate()
        effect = Effect(rate.rate, rate.squared_error, rate.n_users - 1, rate.n_users)
        low, high = effect.interval(Fixed().multiplier(effect))
        yield Figure(metric.name, name, rate.rate, low, high, note=f"{rate.n_users:,} users")


def _gap(name: str, group: str, found: Comparison, max_loss: float, date: str) -> Figure:
    is_finite = math.isfinite(found.low) and math.isfinite(found.high)
    low, high = (found.low, found.high) if is_finite else (None, None)
    note = f"{found.decision}; {found.n_treatment:,} users against {found.n_control:,} since {date}"
    is_alarm = found.decision == "lower" and high is not None and high < -max_loss
    return Figure(name, group, found.lift, low, high, -max_loss, is_alarm, note)
