"""Clicks by the definition, against a plain search of every answer for every view."""

import numpy as np
import pytest

from stream.online.clicks import Shown, UserItemEvents, find_clicks

CLICK_SECONDS = 6 * 3600
PAUSE = 3600


def shown_lists(requests):
    """Return `Shown` of (user, time, items)."""
    users, times, lists = zip(*requests, strict=True) if requests else ((), (), ())
    ends = np.concatenate(([0], np.cumsum([len(one) for one in lists], dtype=np.int64)))
    items = [item for one in lists for item in one]
    return Shown(np.array(users, np.int32), np.array(times, np.int64), ends.astype(np.int64),
                 np.array(items, np.int32))  # fmt: skip


def events(rows):
    """Return `UserItemEvents` of (user, item, first time, last time, value)."""
    kinds = (np.int32, np.int32, np.int64, np.int64, np.float32)
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    return UserItemEvents(
        *(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))
    )


def plain_views(rows):
    """Return views as (user, item, begin, rows): days and pauses joined."""
    views: list[tuple] = []
    for row in sorted(rows, key=lambda row: (row[0], row[1], row[2])):
        last = views[-1] if views else None
        if last and last[:2] == row[:2] and row[2] <= last[3][-1][3] + PAUSE:
            last[3].append(row)
        else:
            views.append((*row[:3], [row]))
    return views


def plain_clicks(requests, views, ratings):
    """Return clicks as (request, rank, item, minutes, rating), and requests of other views."""
    clicks, other = [], []
    for user, item, began, rows in plain_views(views):
        own = [
            (at, number) for number, (who, at, _) in enumerate(requests)
            if who == user and 0 <= began - at <= CLICK_SECONDS
        ]  # fmt: skip
        showing = [(at, number) for at, number in own if item in requests[number][2]]
        if showing:
            at, number = max(showing)
            until = at + CLICK_SECONDS
            given = [(when, value) for who, what, when, _, value in ratings
                     if (who, what) == (user, item) and at <= when <= until]  # fmt: skip
            minutes = max(row[4] for row in rows if row[2] <= until) + 1
            rank = requests[number][2].index(item) + 1
            clicks.append((number, rank, item, minutes, max(given)[1] if given else None))
        elif own:
            other.append(max(own)[1])
    return sorted(clicks, key=repr), sorted(other)


@pytest.mark.parametrize("seed", range(30))
def test_clicks_are_those_of_the_definition(seed):
    """Random answers, views over several days, and ratings of few users and items."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    times = rng.choice(3 * 86_400, 5 * n, replace=False).tolist()
    requests = [
        (int(rng.integers(4)), times.pop(), rng.permutation(9)[: rng.integers(0, 6)].tolist())
        for _ in range(n)
    ]
    views: list[tuple] = []
    ratings = []
    for _ in range(n):
        user, item, at = int(rng.integers(5)), int(rng.integers(9)), times.pop()
        if not any((user, item) == view[:2] and abs(at - view[2]) < 20_000 for view in views):
            views.append((user, item, at, at + 60 * int(rng.integers(90)), float(rng.integers(90))))
            if rng.random() < 0.4:  # it goes on after a pause, as after midnight
                again = views[-1][3] + int(rng.integers(1, 2 * PAUSE))
                views.append((user, item, again, again + 60, float(rng.integers(90, 120))))
        ratings.append(
            (int(rng.integers(4)), int(rng.integers(9)), times.pop(), 0, 1.0 + len(views))
        )
    found = find_clicks(shown_lists(requests), events(views), events(ratings), CLICK_SECONDS)
    rated = [None if np.isnan(value) else value for value in found.rating.tolist()]
    columns = (found.request, found.rank, found.item, found.minutes)
    clicks = zip(*(column.tolist() for column in columns), rated, strict=True)
    assert (sorted(clicks, key=repr), sorted(found.other.tolist())) == plain_clicks(
        requests, views, ratings
    )


def test_ids_and_times_of_full_size_do_not_overflow():
    """A million users and 30,000 items: codes are multiplied with each other and with times."""
    user, item, at = 999_999, 29_999, 1_700_000_000
    shown = shown_lists([(0, at - 86_400, [0]), (user, at, [item])])
    views = events([(user, item, at + 5, at + 65, 1.0)])
    found = find_clicks(shown, views, events([]), CLICK_SECONDS)
    assert (found.request.tolist(), found.rank.tolist(), found.minutes.tolist()) == ([1], [1], [2])


def test_nothing_shown_and_nothing_watched():
    """No requests, or no views: no clicks."""
    view = events([(0, 0, 5, 5, 1.0)])
    for shown, views in ((shown_lists([]), view), (shown_lists([(0, 1, [0])]), events([]))):
        found = find_clicks(shown, views, events([]), CLICK_SECONDS)
        assert (len(found.request), len(found.other)) == (0, 0)
