"""Online figures of a generation, from the files of hours that `python -m stream online` keeps.

They are read by their columns: the batch imports nothing of the stream.

    requests of an hour ─► sums by user ─► sums by user over all hours ─► shares with intervals
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.arrays import Doubles

_COLUMNS: Final = ("user_id", "generation", "is_available", "rank")
_MAX_HOURS: Final = 14 * 24  # the newest hours are read
_SUMMED: Final = ("n_requests", "n_available", "n_clicks")
_MIN_USERS: Final = 30  # with fewer, the normal quantile is too small
_QUANTILE: Final = 1.96  # of the normal distribution, for 95 % intervals


def online_figures(folder: Path, generation: int) -> dict[str, Any] | None:
    """Return requests, and availability and clicks with intervals; None if none were recorded.

    Args:
        folder: Directory of the hours; it need not exist.
        generation: Generation that answered.
    """
    hours = [_by_user(hour) for hour in _hours(folder, generation)]
    if not hours:
        return None
    sums = _by_user(pa.concat_tables(hours))
    requests, available, clicks = (sums[name].to_numpy().astype(np.float64) for name in _SUMMED)
    return {
        "generation": generation,
        "n_users": sums.num_rows,
        "n_requests": int(requests.sum()),
        "n_clicks": int(clicks.sum()),
        "availability": share_with_interval(available, requests),
        "click_through": share_with_interval(clicks, requests),
    }


def share_with_interval(numerators: Doubles, denominators: Doubles) -> list[float | None]:
    """Return a share of all users' sums, and its 95 % interval; None where users are few.

    The requests of a user are correlated: the interval is that of users as clusters.

    Args:
        numerators: (n_users,) sums of each user.
        denominators: (n_users,) sums of each user, at least 1.

    Source:
        Cochran, "Sampling Techniques", 1977, section 6.3: variance of a ratio of means.
    """
    n_users, total = len(numerators), float(denominators.sum())
    share = float(numerators.sum()) / total
    if n_users < _MIN_USERS:
        return [round(share, 6), None, None]
    residuals = numerators - share * denominators
    variance = float(residuals @ residuals) * n_users / (n_users - 1)
    margin = _QUANTILE * variance**0.5 / total
    low, high = max(share - margin, 0.0), min(share + margin, 1.0)
    return [round(share, 6), round(low, 6), round(high, 6)]


def _hours(folder: Path, generation: int) -> Iterator[pa.Table]:
    """Yield the columns to be summed of each hour with requests that a generation answered."""
    for path in sorted(folder.glob("date=*/hour-*.parquet"))[-_MAX_HOURS:]:
        rows = pq.read_table(path, columns=list(_COLUMNS), partitioning=None)
        rows = rows.filter(pc.equal(rows["generation"], generation))
        if rows.num_rows:
            columns = {
                "user_id": pc.cast(rows["user_id"], pa.string()),
                "n_requests": pa.array(np.ones(rows.num_rows, np.int64)),
                "n_available": pc.cast(pc.fill_null(rows["is_available"], False), pa.int64()),
                "n_clicks": pc.cast(pc.greater(pc.fill_null(rows["rank"], 0), 0), pa.int64()),
            }
            yield pa.table(columns)


def _by_user(rows: pa.Table) -> pa.Table:
    summed = rows.group_by("user_id").aggregate([(name, "sum") for name in _SUMMED])
    return summed.rename_columns({f"{name}_sum": name for name in _SUMMED})
