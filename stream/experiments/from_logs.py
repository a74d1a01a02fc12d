"""The expected click-through of one generation, from what another one's lists got.

    hours of `stream online` ─► requests and first clicks by user and rank ─┐
    snapshots of both ─► lists, pools ─► importance weights, support ───────┴─► estimate, or none

A request counts if the old generation answered it with the user's own list. Its click is the
first view from the list, as in `stream online`.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Doubles, Flags, Rows
from batch.rules.exploration import Draw
from store.layout import LIST_LENGTH
from store.snapshot import Snapshot
from stream.errors import StreamError
from stream.experiments.drawn_lists import (
    draw_of,
    drawn_lists,
    log_weights,
    shown_propensities,
    sizes_of,
)
from stream.experiments.statistics.log_estimates import (
    LogEntries,
    LogEstimate,
    estimate,
    position_curve,
)
from stream.experiments.statistics.rates import ArmRate, user_sums
from stream.online.served_lists import LIST

_Z: Final = 1.959964
_BLOCK_USERS: Final = 10_000  # whose lists are in memory at once
_KEYS: Final = ["generation", "user_id", "rank"]


class ListRequests(NamedTuple):
    """Requests that one generation answered with the users' own lists.

    Attributes:
        user_ids: (n_users,) ids, ascending.
        n_requests: (n_users, 21) requests by rank of the first click; 0: none.
    """

    user_ids: list[str]
    n_requests: Rows


class _Evidence(NamedTuple):
    """What the snapshots say about users.

    Attributes:
        weights: (n_users, n) importance weights of the drawn places.
        is_supported: (n_users,) whether they can be used.
        chances: (n_users, n) probability of what was shown at each rank; NaN without n places.
        n_candidates: (n_users,) number of candidates in each pool.
    """

    weights: Doubles
    is_supported: Flags
    chances: Doubles
    n_candidates: Rows


class LogReport(NamedTuple):
    """What the logs of one generation say about another.

    Attributes:
        generation: The new generation.
        logged: The old one.
        n_users: Users with requests.
        n_requests: Requests that their own lists of the old generation answered.
        observed: Click-through of these.
        expected: Click-through had the new generation answered, or why that is unknown.
        first_place: First drawn place, from 1.
        curve: Click-through of each drawn place, as if all candidates were equally likely.
    """

    generation: int
    logged: int
    n_users: int
    n_requests: int
    observed: ArmRate
    expected: LogEstimate
    first_place: int
    curve: list[ArmRate]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data; an unknown figure is null."""
        places = enumerate(self.curve, self.first_place)
        return {
            "generation": self.generation, "logged": self.logged,
            "n_users": self.n_users, "n_requests": self.n_requests,
            "observed": _interval(self.observed),
            "expected": {
                name: None if value != value else value
                for name, value in self.expected._asdict().items()
            },
            "positions": [{"rank": rank, **_interval(one)} for rank, one in places],
        }  # fmt: skip

    def as_text(self) -> str:
        """Return the report as lines for a terminal."""
        one = self.expected
        lines = [
            f"{self.n_requests:,} requests of {self.n_users:,} users, "
            f"answered by their lists of generation {self.logged}",
            "",
            f"click-through of generation {self.logged}   observed  {_shown(self.observed)}",
        ]
        begin = f"click-through of generation {self.generation}   expected  "
        if one.reason:
            lines.append(f"{begin}no answer: {one.reason}")
        else:
            lines.append(f"{begin}{one.value:.4f}  {one.low:.4f} to {one.high:.4f}")
        lines += [
            f"effective users {one.effective_users:,.0f}, weights cut off "
            f"{one.clipped_share:.2%}, lists without support {one.unsupported_share:.2%}",
            "",
            "place  click-through, as if every candidate were equally likely there",
        ]
        places = enumerate(self.curve, self.first_place)
        return "\n".join([*lines, *(f"{rank:>5}  {_shown(rate)}" for rank, rate in places)])


def list_requests(hours: Iterable[pa.Table]) -> dict[int, ListRequests]:
    """Return the requests by generation.

    Args:
        hours: Tables of `stream.online.hours.HOUR`.
    """
    parts = [_counted(rows) for rows in hours]
    if not parts:
        return {}
    rows = pa.concat_tables(parts).group_by(_KEYS).aggregate([("n", "sum")])
    found = {}
    for generation in pc.unique(rows["generation"]).to_pylist():
        own = rows.filter(pc.equal(rows["generation"], generation))
        users = pc.unique(own["user_id"]).sort()
        n_requests = np.zeros((len(users), LIST_LENGTH + 1), np.int64)
        place = pc.index_in(own["user_id"], users).to_numpy(), own["rank"].to_numpy()
        np.add.at(n_requests, place, own["n_sum"].to_numpy())
        found[generation] = ListRequests(users.to_pylist(), n_requests)
    return found


def _counted(rows: pa.Table) -> pa.Table:
    is_list = pc.equal(rows["source"].cast(pa.string()), LIST)
    rows = rows.filter(pc.and_(is_list, pc.equal(rows["n_shown"], LIST_LENGTH)))
    rows = rows.set_column(0, "user_id", rows["user_id"].cast(pa.string()))
    counted = rows.group_by(_KEYS).aggregate([([], "count_all")])
    return counted.rename_columns([*_KEYS, "n"])


def log_report(
    requests: ListRequests, old: Snapshot, new: Snapshot, taken_down: Collection[bytes]
) -> LogReport:
    """Return the estimate for a new generation from the requests of an old one.

    Args:
        requests: Requests that the old generation answered.
        old: Snapshot of the old generation.
        new: Snapshot of the new one.
        taken_down: Items that are taken down: lists with one of them are not what was drawn.

    Raises:
        StreamError: The old generation did not explore, or a draw cannot be computed again.
    """
    old_draw = draw_of(old.manifest)
    subject = f"generation {old.generation}"
    if not old_draw.n:
        remedy = "set [rules] explore, and wait for its logs"
        raise StreamError(subject, "drew no places, so its logs say nothing of others", remedy)
    if len(requests.user_ids) < 2:
        raise StreamError(subject, "answered fewer than two users", "wait for more logs")
    gone = frozenset(taken_down)
    found = _joined(
        [
            _evidence(requests.user_ids[first : first + _BLOCK_USERS], (old, new), gone)
            for first in range(0, len(requests.user_ids), _BLOCK_USERS)
        ]
    )
    entries = _entries(requests.n_requests, old_draw)
    total = user_sums(entries.fixed_clicks + entries.drawn_clicks.sum(axis=1), entries.requests)
    return LogReport(
        new.generation,
        old.generation,
        len(requests.user_ids),
        int(requests.n_requests.sum()),
        total.rate(),
        estimate(entries, found.weights, found.is_supported),
        LIST_LENGTH - old_draw.n + 1,
        _curve(entries, found),
    )


def _entries(n_requests: Rows, draw: Draw) -> LogEntries:
    """Return the clicks of each user; a click's rank is that of the first view."""
    counts = n_requests.astype(np.float64)
    first = LIST_LENGTH - draw.n + 1
    return LogEntries(counts.sum(axis=1), counts[:, 1:first].sum(axis=1), counts[:, first:])


def _evidence(
    user_ids: Sequence[str], snapshots: tuple[Snapshot, Snapshot], gone: frozenset[bytes]
) -> _Evidence:
    draws = [draw_of(snapshot.manifest) for snapshot in snapshots]
    old, new = (
        drawn_lists(snapshot, draw, user_ids)
        for snapshot, draw in zip(snapshots, draws, strict=True)
    )
    found = log_weights(old, draws[0], new, draws[1])
    is_drawn = np.array([gone.isdisjoint((*one.fixed, *one.pool)) for one in old])
    return _Evidence(
        found.weights,
        found.is_supported & is_drawn,
        shown_propensities(old, draws[0]),
        sizes_of(old),
    )


def _joined(parts: Sequence[_Evidence]) -> _Evidence:
    return _Evidence(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _curve(entries: LogEntries, found: _Evidence) -> list[ArmRate]:
    rows = np.flatnonzero(~np.isnan(found.chances[:, 0]))
    if len(rows) < 2:
        return []
    of_full = LogEntries(*(column[rows] for column in entries))
    return position_curve(of_full, found.chances[rows], found.n_candidates[rows, None])


def _interval(one: ArmRate) -> dict[str, float]:
    width = _Z * one.squared_error**0.5
    return {"value": one.rate, "low": one.rate - width, "high": one.rate + width}


def _shown(one: ArmRate) -> str:
    found = _interval(one)
    return f"{found['value']:.4f}  {found['low']:.4f} to {found['high']:.4f}"
