"""Clicks: which answer a view belongs to. This is the one definition; all figures follow it.

    answer    12:00  a b c        shown at ranks 1 2 3
    answer    12:30  c d          shown at ranks 1 2
    view      12:40  c            a click on rank 1 of the answer of 12:30
    view      12:41  a            a click on rank 1 of the answer of 12:00
    view      12:42  x            another view after the answer of 12:30

A view is a click if it began within `click_hours` after its item was shown to its user; it
belongs to the latest answer that showed the item before. Any other view within that time
belongs to the user's latest answer. A view that goes past midnight, or pauses for less than
an hour, is one view. Its minutes are the furthest minute and one more, for they count from 0.
The rating is the latest one that the user gave the item within `click_hours` after the answer.

The partitions have one row a user, item and day: a second view of an item on one day is part
of the first there, however long the pause, and so never a click of its own.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Codes, Doubles, Floats, Integers, Rows, Times

_PAUSE_SECONDS: Final = 3600
NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Shown:
    """Requests with what their answers showed, in any order.

    Attributes:
        user: (n_requests,) codes of users.
        at: (n_requests,) times.
        ends: (n_requests + 1,) number of items shown before each request.
        item: (n_shown,) codes of the items that were shown, by request and rank.
    """

    user: Codes
    at: Times
    ends: Rows
    item: Codes


class UserItemEvents(NamedTuple):
    """Rows of views or of ratings, in any order.

    Attributes:
        user, item: (n,) codes, those of `Shown`.
        at: (n,) times; of a view, that of its first minute on this day.
        last_at: (n,) times of the last minute on this day; of a rating, `at`.
        value: (n,) furthest minutes, NaN where unknown, or ratings.
    """

    user: Integers
    item: Integers
    at: Times
    last_at: Times
    value: Floats


@dataclass(frozen=True, slots=True)
class Clicks:
    """Views of items that were shown before.

    Attributes:
        request: (n_clicks,) rows of the requests that they belong to.
        rank: (n_clicks,) ranks of the items, from 1.
        item: (n_clicks,) codes of the items.
        began: (n_clicks,) times at which the views began.
        minutes: (n_clicks,) minutes watched, NaN where unknown.
        rating: (n_clicks,) ratings, NaN without one.
        other: (n_other,) request rows of the other views.
    """

    request: Rows
    rank: Rows
    item: Rows
    began: Times
    minutes: Doubles
    rating: Doubles
    other: Rows


def find_clicks(
    shown: Shown, views: UserItemEvents, ratings: UserItemEvents, click_seconds: float
) -> Clicks:
    """Return the clicks on what was shown, and the other views of its users.

    Args:
        shown: Requests of some users, all of them from the first one's time on.
        views: Views of these users; from a day before, to find those that began before.
        ratings: Ratings of these users.
        click_seconds: Seconds after an answer within which a view is a click.
    """
    n_items = _n_codes(shown.item, views.item, ratings.item)
    views, session = _sessions(views)
    first = np.flatnonzero(np.diff(session, prepend=NONE))
    user, item = views.user[first].astype(np.int64), views.item[first].astype(np.int64)
    began = views.at[first]
    owner = np.repeat(np.arange(len(shown.user)), np.diff(shown.ends))
    place = _latest(
        _Keyed(shown.user[owner].astype(np.int64) * n_items + shown.item, shown.at[owner]),
        _Keyed(user * n_items + item, began),
        click_seconds,
    )
    latest = _latest(
        _Keyed(shown.user.astype(np.int64), shown.at), _Keyed(user, began), click_seconds
    )
    is_click = place != NONE
    place = place[is_click]
    request = owner[place]
    until = np.full(len(first), np.iinfo(np.int64).min)  # minutes after it do not count
    until[is_click] = shown.at[request] + int(click_seconds)
    furthest = np.where(views.at <= until[session], views.value, np.nan).astype(np.float64)
    minutes = np.fmax.reduceat(furthest, first) if len(first) else furthest
    pair = shown.user[request].astype(np.int64) * n_items + item[is_click]
    return Clicks(
        request,
        place - shown.ends[request] + 1,
        item[is_click],
        began[is_click],
        minutes[is_click] + 1,
        _ratings(ratings, n_items, _Keyed(pair, until[is_click]), shown.at[request]),
        latest[~is_click & (latest != NONE)],
    )


class _Keyed(NamedTuple):
    """Times of keys."""

    key: Rows
    at: Times


def _latest(events: _Keyed, queries: _Keyed, max_age: float) -> Rows:
    """Return the row of the latest event of each query's key at its time or before.

    Events of one key and time keep their order; NONE where there is none of that age.
    """
    if not len(events.key):
        return np.full(len(queries.key), NONE)
    begin = int(events.at.min())
    span = int(max(events.at.max(), queries.at.max(initial=begin))) - begin + 1
    joined = events.key * span + events.at - begin
    order = np.argsort(joined, kind="stable")
    asked = queries.key * span + np.maximum(queries.at - begin, 0)
    position = np.searchsorted(joined[order], asked, side="right") - 1
    row = order[np.maximum(position, 0)]
    age = queries.at - events.at[row]
    is_found = (position >= 0) & (events.key[row] == queries.key)
    return np.where(is_found & (age >= 0) & (age <= max_age), row, NONE)


def _sessions(views: UserItemEvents) -> tuple[UserItemEvents, Rows]:
    """Return the rows by user, item and time, and the number of the view of each."""
    order = np.lexsort((views.at, views.item, views.user))
    views = _taken(views, order)
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (views.user[1:] != views.user[:-1]) | (views.item[1:] != views.item[:-1])
    is_new[1:] |= views.at[1:] > views.last_at[:-1] + _PAUSE_SECONDS
    return views, np.cumsum(is_new) - 1


def _taken(events: UserItemEvents, rows: Rows) -> UserItemEvents:
    user, item, at, last_at, value = events
    return UserItemEvents(user[rows], item[rows], at[rows], last_at[rows], value[rows])


def _ratings(ratings: UserItemEvents, n_items: int, until: _Keyed, since: Times) -> Doubles:
    """Return the latest rating of each pair between two times, NaN without one."""
    pair = ratings.user.astype(np.int64) * n_items + ratings.item
    row = _latest(_Keyed(pair, ratings.at), until, np.inf)
    found = np.append(ratings.value, np.nan).astype(np.float64)[row]  # NONE is the last one
    return np.where(np.append(ratings.at, 0)[row] >= since, found, np.nan)


def _n_codes(*columns: Integers) -> int:
    return 1 + max((int(column.max()) for column in columns if len(column)), default=0)
