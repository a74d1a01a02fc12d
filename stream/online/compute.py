"""Computing the hours that are not closed: requests, their origin, and what users did then.

    answers, or access log ─► requests ─► origin of each ─┐
    views, ratings ───────────────────────────────────────┴─► clicks ─► rows of HOUR

A day is computed at once, a part of its users at a time. Its requests need the answers and
views of the next `click_hours`, and the views of the day before, which may go on.
"""

import math
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import AnyFloats, Codes, Doubles, Rows
from batch.events.ids import codes_of, encode, whole
from store.team_draft import NO_TEAM
from stream.online.access_log import LoggedRequests
from stream.online.clicks import Clicks, Shown, UserItemEvents, find_clicks
from stream.online.events import DAY_SECONDS, DayFiles
from stream.online.hours import HOUR, HOUR_SECONDS, HourFiles
from stream.online.requests import requests_of_answers
from stream.online.served_lists import Origin, ServedLists
from stream.online.settings import OnlineSettings

_PART_VIEWS: Final = 4_000_000  # rows of views that are held at a time


def open_hours(settings: OnlineSettings) -> HourFiles:
    """Open the directory of the hours.

    Raises:
        StreamError: It was made with other settings, or its state is damaged.
    """
    names = ("click_hours", "limit_ms", "utc_offset_minutes")
    return HourFiles(Path(settings.path), {name: getattr(settings, name) for name in names})


def update(
    hours: HourFiles, events: DayFiles, served: ServedLists, settings: OnlineSettings
) -> int:
    """Compute all hours that are not closed, and close those that no event can change.

    Returns:
        Time of the newest event, seconds since 1970 by the clock of the events; 0 without one.

    Raises:
        InputError: A file of events is damaged.
        OSError: The hours cannot be written.
    """
    days, log = events.days("answers"), None
    if not days:  # nobody echoes answers
        log = LoggedRequests(settings)
        days = log.days()
    now = int(time.time()) + 60 * settings.utc_offset_minutes
    newest = max(events.newest(now), log.newest() if log else 0)
    for day in days:
        begin, end = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
        if log:
            begin = max(begin, _first_hour(log, hours))
        of_day = _Day(day, events, log, settings)
        inputs = of_day.inputs()
        if end > max(begin, hours.closed_until) and hours.inputs.get(day) != inputs:
            hours.write(of_day.rows(served), begin, end)
            hours.inputs[day] = inputs
    hours.close(_closed_until(newest, settings))
    return newest


def _first_hour(log: LoggedRequests, hours: HourFiles) -> int:
    """Return the begin of the first hour that the log has all of; rotation cuts its begin."""
    hour = log.oldest() // HOUR_SECONDS * HOUR_SECONDS
    return hour + HOUR_SECONDS if hours.has(hour) else hour


def _closed_until(newest: int, settings: OnlineSettings) -> int:
    """Return the end of the last hour whose views are on days that are complete."""
    complete = int(newest - settings.late_hours * HOUR_SECONDS) // DAY_SECONDS * DAY_SECONDS
    last = int(complete - settings.click_hours * HOUR_SECONDS)
    return max(last // HOUR_SECONDS * HOUR_SECONDS, 0)


class _Day(NamedTuple):
    """One day of requests, counted from 1970, and where it is read from."""

    day: int
    events: DayFiles
    log: LoggedRequests | None
    settings: OnlineSettings

    def inputs(self) -> str:
        """Return a hash of the state of all files that the rows depend on."""
        after, around = self._days()
        files = [self.events.state(name, after) for name in ("answers", "ratings")]
        state = (files, self.events.state("views", around), self.log and self.log.lines.num_rows)
        return blake2b(repr(state).encode(), digest_size=16).hexdigest()

    def _days(self) -> tuple[range, range]:
        """Return the days of the requests and their ratings, and of their views."""
        after = range(self.day, self.day + 1 + math.ceil(self.settings.click_hours / 24))
        return after, range(self.day - 1, after.stop)

    def rows(self, served: ServedLists) -> pa.Table:
        """Return the day's rows of `HOUR`."""
        after, around = self._days()
        n_requests = self.log.n_rows(after) if self.log else self.events.n_rows("answers", after)
        n_views = self.events.n_rows("views", around)
        n_parts = max(-(-n_requests // self.settings.part_requests), -(-n_views // _PART_VIEWS), 1)
        parts = []
        for part in range(n_parts):
            if self.log:
                requests = self.log.requests(after, part, n_parts, served)
            else:
                answers = self.events.rows("answers", after, part, n_parts)
                requests = requests_of_answers(answers, self.settings.limit_ms)
            views = self.events.rows("views", around, part, n_parts)
            ratings = self.events.rows("ratings", after, part, n_parts)
            parts.append(self._part(requests, views, ratings, served))
        return pa.concat_tables(parts)

    def _part(
        self, requests: pa.Table, views: pa.Table, ratings: pa.Table, served: ServedLists
    ) -> pa.Table:
        until = (self.day + 1) * DAY_SECONDS
        latest = until + self.settings.click_hours * HOUR_SECONDS
        requests = requests.filter(pc.less_equal(requests["at"], latest))
        shown, codes, item_ids = _encoded(requests, views, ratings)
        view_events = UserItemEvents(*codes[0], *_times(views), _minutes(views))
        rated_at = ratings["at"].to_numpy()
        rating_events = UserItemEvents(*codes[1], rated_at, rated_at, ratings["rating"].to_numpy())
        seconds = self.settings.click_hours * HOUR_SECONDS
        clicks = find_clicks(shown, view_events, rating_events, seconds)
        is_ours = requests["at"].to_numpy() < until
        rows = _rows(requests, shown, clicks, item_ids, served)
        return rows.filter(pa.array(is_ours))


def _encoded(
    requests: pa.Table, views: pa.Table, ratings: pa.Table
) -> tuple[Shown, list[tuple[Codes, Codes]], Sequence[str]]:
    """Return requests, and codes of user and item of views and ratings, with common codes."""
    tables = (requests, views, ratings)
    users = _common_codes([whole(table["user_id"]) for table in tables])[0]
    is_list = pc.is_valid(requests["items"])
    lists = pc.split_pattern(requests["items"].filter(is_list), ",").combine_chunks()
    n_shown = np.zeros(len(requests), np.int64)
    n_shown[is_list.to_numpy()] = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    in_lists = encode(lists.flatten())
    items, item_ids = _common_codes([in_lists, *(whole(t["item_id"]) for t in tables[1:])])
    ends = np.concatenate(([0], np.cumsum(n_shown)))
    shown = Shown(users[0], requests["at"].to_numpy(), ends, items[0])
    return shown, [(users[1], items[1]), (users[2], items[2])], item_ids


def _common_codes(columns: Sequence[pa.DictionaryArray]) -> tuple[list[Codes], list[str]]:
    """Return the codes of several columns in one dictionary, and its ids."""
    joined = pa.chunked_array(columns).unify_dictionaries()
    return [codes_of(chunk) for chunk in joined.chunks], joined.chunk(0).dictionary.to_pylist()


def _times(views: pa.Table) -> tuple[Rows, Rows]:
    first = pc.fill_null(views["first_at"], 0).to_numpy()
    return first, pc.fill_null(views["last_at"], 0).to_numpy()


def _minutes(views: pa.Table) -> AnyFloats:
    """Return furthest minutes, NaN where unknown."""
    minute = pc.if_else(pc.less(views["minute"], 0), None, views["minute"])
    return np.asarray(minute.cast(pa.float32()).to_numpy(), np.float32)


def _rows(
    requests: pa.Table, shown: Shown, clicks: Clicks, item_ids: Sequence[str], served: ServedLists
) -> pa.Table:
    """Return a row of `HOUR` for each request."""
    n = len(requests)
    generation, source, segment = _origins(requests, served)
    runtime, cost = _facts(clicks, generation, item_ids, served)
    credited = _credited(clicks, generation, requests, item_ids, served)
    minutes = np.where(np.isnan(clicks.minutes), np.nan, np.fmin(clicks.minutes, runtime))
    n_timed, watched_share = _sums(clicks.request, minutes / runtime, n)
    n_ratings, rating = _sums(clicks.request, clicks.rating, n)
    n_priced, fees = _sums(clicks.request, cost, n)
    columns = (
        whole(requests["user_id"]),
        requests["at"].combine_chunks(),
        generation,
        encode(pa.array(source, pa.string())),
        encode(pa.array(segment, pa.string())),
        requests["is_available"].combine_chunks(),
        requests["milliseconds"].combine_chunks(),
        np.diff(shown.ends),
        _first_ranks(clicks, n),
        np.bincount(clicks.request, minlength=n),
        _sums(clicks.request, minutes, n)[1],
        n_timed,
        watched_share,
        n_ratings,
        rating,
        n_priced,
        fees,
        np.bincount(clicks.other, minlength=n),
        *credited,
    )
    fields = zip(columns, HOUR, strict=True)
    return pa.table([pa.array(column).cast(field.type) for column, field in fields], schema=HOUR)


def _origins(requests: pa.Table, served: ServedLists) -> tuple[Rows, list[str], list[str]]:
    """Return generation, source and segment of each answer; those that are given stay."""
    user_ids = [user_id.encode() for user_id in requests["user_id"].to_pylist()]
    if requests["source"].null_count:
        bodies = requests["items"].cast(pa.binary()).to_pylist()
        origins = served.origins(user_ids, requests["at"].to_numpy(), bodies)
    else:
        generations = pc.fill_null(requests["generation"], 0).to_pylist()
        rows = zip(user_ids, generations, requests["source"].to_pylist(), strict=True)
        origins = [
            Origin(generation, source, served.segment(user_id, generation))
            for user_id, generation, source in rows
        ]
    generation = np.array([origin.generation for origin in origins], np.int64)
    return generation, [one.source for one in origins], [one.segment for one in origins]


def _facts(
    clicks: Clicks, generation: Rows, item_ids: Sequence[str], served: ServedLists
) -> tuple[Doubles, Doubles]:
    """Return runtime and cost of each item that was clicked, NaN where unknown."""
    pairs = np.stack([generation[clicks.request], clicks.item], axis=1)
    distinct, inverse = np.unique(pairs, axis=0, return_inverse=True)
    facts = [served.facts(number, item_ids[item]) for number, item in distinct.tolist()]
    values = np.array(facts, np.float64).reshape(-1, 2)[inverse.ravel()]
    return values[:, 0], values[:, 1]


def _credited(
    clicks: Clicks,
    generation: Rows,
    requests: pa.Table,
    item_ids: Sequence[str],
    served: ServedLists,
) -> tuple[Rows, Rows]:
    """Return each request's clicks on items that control and that treatment drafted."""
    credited = np.zeros((2, len(requests)), np.int64)
    of_generation = generation[clicks.request]
    distinct = np.unique(of_generation).tolist()
    merged = [number for number in distinct if served.is_interleaved(number)]
    rows = np.flatnonzero(np.isin(of_generation, merged))
    if not len(rows):
        return credited[0], credited[1]
    user_ids = requests["user_id"].take(pa.array(clicks.request[rows])).to_pylist()
    for row, user_id in zip(rows.tolist(), user_ids, strict=True):
        lists = served.lists(int(of_generation[row]))
        teams = lists.teams(user_id.encode()) if lists else {}
        team = teams.get(item_ids[clicks.item[row]].encode(), NO_TEAM)
        if team != NO_TEAM:
            credited[team, clicks.request[row]] += 1
    return credited[0], credited[1]


def _first_ranks(clicks: Clicks, n: int) -> Rows:
    """Return the rank of each request's earliest click, the best of equally early ones; 0: none."""
    order = np.lexsort((-clicks.rank, -clicks.began, clicks.request))
    rank = np.zeros(n, np.int64)
    rank[clicks.request[order]] = clicks.rank[order]  # the last one stays
    return rank


def _sums(row: Rows, values: AnyFloats, n: int) -> tuple[Doubles, Doubles]:
    """Return number and sum of the known values of each of n rows."""
    known = ~np.isnan(values)
    number = np.bincount(row[known], minlength=n).astype(np.float64)
    return number, np.bincount(row[known], values[known], n).astype(np.float64)
