"""Gathering in blocks of users: against a dictionary, and however the blocks and rows lie."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batch.interactions.blocks as blocks_module
from batch.errors import NothingToLearnError
from batch.events.events import Events
from batch.events.fold import fold_views
from batch.events.parsed import RATINGS, VIEWS
from batch.interactions.aggregate import aggregate_events
from batch.interactions.blocks import blocks_of

ITEMS = dict.fromkeys("abcdef", 100.0)


def some_rows(seed, n=120):
    """Return views and ratings, many of the same user and item, as `VIEWS` and `RATINGS`."""
    rng = random.Random(seed)
    pairs = [(f"u{rng.randrange(9)}", rng.choice("abcdef")) for _ in range(n)]
    views, ratings = [], []
    for user, item in pairs:
        at = rng.choice([None, *range(1000, 1010)])
        minute = rng.choice([None, 3, 50, 120])
        views.append((user, item, minute, rng.randrange(1, 4), at, at and at + rng.randrange(9)))
        if rng.random() < 0.5:
            ratings.append((user, item, rng.choice([0.5, 3.0, 5.0, 7.0]), rng.choice([0, 1005])))
    return views, ratings


def events(views, ratings):
    """Return events of these rows."""
    tables = (
        pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
        for rows, schema in ((views, VIEWS), (ratings, RATINGS))
    )
    return Events(*tables, n_accounts=0, n_answers=0, sources=())


def told(gathered):
    """Return what was gathered, by user and item."""
    users, items = gathered.user_ids.to_pylist(), gathered.item_ids.to_pylist()
    places = np.arange(gathered.meetings.n_pairs)
    rows = gathered.meetings.user_rows(places), gathered.meetings.indices
    evidence = gathered.evidence
    columns = (evidence.watched, evidence.rating, gathered.began_at, evidence.last_at)
    return {
        (users[user], items[item]): tuple(float(column[place]) for column in columns)
        for place, user, item in zip(places, *rows, strict=True)
    }


def expected(views, ratings, best=5.0):
    """Return the same by a dictionary: furthest minute, last rating, first and last time."""
    known = {}
    for user, item, minute, _, first, last in views:
        pair = known.setdefault((user, item), {"minutes": [], "at": [], "stars": [], "views": 0})
        pair["views"] += 1
        pair["minutes"] += [minute] if minute is not None else []
        pair["at"] += [(first, last)] if first else []
    for user, item, stars, at in ratings:
        if stars <= best:
            pair = known[user, item]  # each rating has a view beside it
            pair["stars"].append((at, stars))
            pair["at"] += [(at, at)] if at else []
    found = {}
    for pair, all_of_it in known.items():
        minutes = all_of_it["minutes"]
        share = np.float32(min((max(minutes) + 1) / 100, 1) if minutes else 1)
        stars = max(all_of_it["stars"])[1] if all_of_it["stars"] else 0.0
        first = min((first for first, _ in all_of_it["at"]), default=0)
        last = max((last for _, last in all_of_it["at"]), default=0)
        found[pair] = (pytest.approx(float(share)), stars, first, last)
    return found


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("block_events", [1 << 20, 40, 1])
@pytest.mark.parametrize("seed", range(4))
def test_gathered_is_what_a_dictionary_says(seed, block_events, n_threads, monkeypatch):
    """In one block, in a few, and with one user in each; on one thread and two."""
    monkeypatch.setattr(blocks_module, "_EVENTS", block_events)
    views, ratings = some_rows(seed)
    gathered = aggregate_events(events(views, ratings), ITEMS, 5.0, n_threads=n_threads)
    assert told(gathered) == expected(views, ratings)
    assert gathered.dropped["rating off the scale"] == len(
        {rating for rating in ratings if rating[2] > 5}
    )


def test_folded_views_say_the_same():
    """Reading may leave several rows of one user and item, or fold them."""
    views, ratings = some_rows(7)
    plain = events(views, ratings)
    folded = Events(fold_views(plain.views), plain.ratings, 0, 0, ())
    assert folded.views.num_rows < plain.views.num_rows
    assert told(aggregate_events(folded, ITEMS, 5.0)) == told(aggregate_events(plain, ITEMS, 5.0))


def test_views_and_ratings_may_lack():
    """Either alone will do."""
    views, ratings = some_rows(3)
    assert {at[1] for at in told(aggregate_events(events(views, []), ITEMS, 5.0)).values()} == {0.0}
    assert {at[0] for at in told(aggregate_events(events([], ratings), ITEMS, 5.0)).values()} == {
        1.0
    }


def test_events_of_items_that_do_not_exist_are_counted_over_all_blocks(monkeypatch):
    """Each line of a view, each distinct rating."""
    monkeypatch.setattr(blocks_module, "_EVENTS", 20)
    views, ratings = some_rows(5)
    gathered = aggregate_events(events(views, ratings), dict.fromkeys("abcd"), 10.0)
    lines = sum(view[3] for view in views if view[1] in "ef")
    stars = len({rating for rating in ratings if rating[1] in "ef"})
    assert gathered.dropped == {"item outside the catalogue": lines + stars}


@given(
    user_row=st.lists(st.integers(0, 99), max_size=200),
    n_events=st.sampled_from([0, 1 << 20, 1 << 23, 1 << 40]),
)
def test_blocks_hold_every_row_once(user_row, n_events):
    """Each in its user's block, in the order that it had."""
    user_row = np.asarray(user_row, np.int32)
    blocks = blocks_of(100, n_events)
    rows = blocks.rows(user_row)
    assert len(rows) == blocks.n_blocks
    assert [user for block in range(blocks.n_blocks) for user in blocks.users(block)] == [
        *range(100)
    ]
    for block, mine in enumerate(rows):
        inside = [row for row, user in enumerate(user_row) if user in blocks.users(block)]
        assert mine.tolist() == inside


def test_an_empty_catalogue_lists_nothing():
    """It is not the same as none."""
    views, ratings = some_rows(5)
    with pytest.raises(NothingToLearnError, match="outside the catalogue"):
        aggregate_events(events(views, ratings), {}, 5.0)
