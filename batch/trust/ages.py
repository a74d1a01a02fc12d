"""Ages of accounts: from their creation, else from their first event.

    accounts   7  12:03 of day 40                                  until = day 45
    events     7  day 41     8  day 1     9  day 44    ─►    age    7  5 d   8  44 d   9  1 d

First events are used if the events that are kept span over 30 days: in a shorter time nearly
every account looks new. Without either, an account is old, and the rules on age are off.
Time ends with the events, not now, so that the same events always give the same ages.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Floats, Times
from batch.interactions.build import Interactions
from batch.interactions.weights import DAY_SECONDS, latest_time
from batch.learn import known_times

MIN_SPAN_DAYS: Final = 30  # of events, whose first ones stand for the creation of accounts
_OLD: Final = np.float32(1e6)  # days, of an account of unknown age
_CHUNK_USERS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Ages:
    """Ages of the accounts.

    Attributes:
        days: (n_users,) age of each user's account at the end of the events.
        until: Time of the end of the events, seconds since 1970; 0 if unknown.
        begin: Time of the first event of any user, 0 if unknown.
        source: Where ages come from: `create_account`, `first events`, both, or `unknown`.
    """

    days: Floats
    until: int
    begin: int
    source: str

    @property
    def are_known(self) -> bool:
        """Whether any age is known."""
        return self.source != "unknown"

    def since(self, days: float) -> int:
        """Return the time after which accounts of fewer days were created."""
        return self.until - int(days * DAY_SECONDS)


def ages_of(interactions: Interactions, accounts: pa.Table, not_after: datetime) -> Ages:
    """Return the ages of the accounts of all users.

    Args:
        interactions: Interactions with the times of their first events.
        accounts: Table with the columns of `parsed.ACCOUNTS`: creations of accounts.
        not_after: Time after which an event has a wrong clock.
    """
    n_users = len(interactions.user_ids)
    first, last = first_and_last(interactions, not_after)
    has_time = last > 0
    if not has_time.any():
        return Ages(np.full(n_users, _OLD), 0, 0, "unknown")
    until = int(latest_time(last[has_time]))
    begin = -int(latest_time(-first[has_time]))  # early clock errors are left out, too
    created = _created(interactions.user_ids, accounts)
    sources = ["create_account"] if created.any() else []
    since = np.where(created > 0, created, np.iinfo(np.int64).max)
    if until - begin > MIN_SPAN_DAYS * DAY_SECONDS:
        sources.append("first events")
        since = np.where(has_time, np.minimum(since, first), since)
    elif created.any():  # a view before the creation is one of a wrong clock
        since = np.where((created > 0) & has_time, np.minimum(since, first), since)
    is_known = since < np.iinfo(np.int64).max
    days = np.full(n_users, _OLD)
    days[is_known] = np.maximum(until - since[is_known], 0) / np.float32(DAY_SECONDS)
    return Ages(days, until, begin, ", ".join(sources) or "unknown")


def first_and_last(interactions: Interactions, not_after: datetime) -> tuple[Times, Times]:
    """Return (n_users,) times of each user's first and latest first view, 0 if unknown.

    Args:
        interactions: Interactions with the times of their first events.
        not_after: Time after which an event has a wrong clock.
    """
    n_users, starts = len(interactions.user_ids), interactions.weights.indptr
    first, last = np.zeros(n_users, np.int64), np.zeros(n_users, np.int64)
    if interactions.began_at is None:
        return first, last
    for begin in range(0, n_users, _CHUNK_USERS):
        users = slice(begin, min(begin + _CHUNK_USERS, n_users))
        edges = starts[users.start : users.stop + 1].astype(np.int64)
        at = known_times(interactions.began_at[edges[0] : edges[-1]], not_after=not_after)
        has_items = np.flatnonzero(np.diff(edges))
        if at is None or not len(has_items):
            continue
        groups = edges[:-1][has_items] - edges[0]
        last[users][has_items] = np.maximum.reduceat(at, groups)
        known = np.where(at > 0, at, np.iinfo(np.int64).max)
        first[users][has_items] = np.minimum.reduceat(known, groups)
    return np.where(last > 0, first, 0), last


def _created(user_ids: pa.StringArray, accounts: pa.Table) -> Times:
    """Return (n_users,) times of the first creation of each user's account, 0 if unknown."""
    created = np.zeros(len(user_ids), np.int64)
    if not accounts.num_rows:
        return created
    ids = accounts["user_id"].cast(pa.string())
    row = pc.index_in(ids, value_set=user_ids).to_numpy(zero_copy_only=False)
    at = accounts["at"].to_numpy()
    is_used = ~np.isnan(row) & (at > 0) if row.dtype.kind == "f" else at > 0
    earliest = np.full(len(created), np.iinfo(np.int64).max)
    np.minimum.at(earliest, row[is_used].astype(np.int64), at[is_used])
    return np.where(earliest < np.iinfo(np.int64).max, earliest, created)
