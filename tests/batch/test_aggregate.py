"""Aggregation in blocks of users, compared with a dictionary, for any size of blocks."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import NothingToLearnError
from batch.events.events import Events
from batch.events.fold import fold_views
from batch.interactions.aggregate import aggregate_events
from batch.interactions.blocks import BLOCK_EVENTS, blocks_of
from tests.batch.made_events import events_of

ITEMS = dict.fromkeys("abcdef", 100.0)


def random_rows(seed, n=120):
    """Return rows of views and ratings, many of the same user and item."""
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


def by_pair(aggregated):
    """Return share watched, -1 if unknown, rating, first and latest time by user and item."""
    users, items = aggregated.user_ids.to_pylist(), aggregated.item_ids.to_pylist()
    pair_rows = np.arange(aggregated.pairs.n_pairs)
    rows = aggregated.pairs.user_rows(pair_rows), aggregated.pairs.indices
    evidence = aggregated.evidence
    watched = np.nan_to_num(evidence.watched, nan=-1)
    columns = (watched, evidence.rating, aggregated.began_at, evidence.last_at)
    return {
        (users[user], items[item]): tuple(float(column[pair_row]) for column in columns)
        for pair_row, user, item in zip(pair_rows, *rows, strict=True)
    }


def expected(views, ratings, best=5.0):
    """Return the same from a dictionary: furthest minute, latest rating, first and latest time."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
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
    for user_and_item, values in known.items():
        minutes = values["minutes"]
        share = np.float32(min((max(minutes) + 1) / 100, 1) if minutes else -1)
        stars = max(values["stars"])[1] if values["stars"] else 0.0
        first = min((first for first, _ in values["at"]), default=0)
        last = max((last for _, last in values["at"]), default=0)
        found[user_and_item] = (pytest.approx(float(share)), stars, first, last)
    return found


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("block_events", [BLOCK_EVENTS, 40, 1])
@pytest.mark.parametrize("seed", range(4))
def test_aggregation_agrees_with_a_dictionary(seed, block_events, n_threads):
    """In one block, in a few, and with one user in each; on one thread and two."""
    views, ratings = random_rows(seed)
    aggregated = aggregate_events(
        events_of(views, ratings), ITEMS, 5.0, n_threads=n_threads, block_events=block_events
    )
    assert by_pair(aggregated) == expected(views, ratings)
    assert aggregated.dropped["rating off the scale"] == len(
        {rating for rating in ratings if rating[2] > 5}
    )


def test_folded_views_give_the_same_evidence():
    """One row for each user and item, or several: the evidence is equal."""
    views, ratings = random_rows(7)
    plain = events_of(views, ratings)
    folded = Events(fold_views(plain.views), plain.ratings, 0, 0, ())
    assert folded.views.num_rows < plain.views.num_rows
    of_all, of_folded = (by_pair(aggregate_events(one, ITEMS, 5.0)) for one in (plain, folded))
    assert of_all == of_folded
    assert plain.views.num_rows == plain.ratings.num_rows == 0  # taken out, so that they are freed


def test_views_or_ratings_may_be_missing():
    """Views alone have rating 0, ratings alone an unknown share."""
    views, ratings = random_rows(3)
    only_views = by_pair(aggregate_events(events_of(views, []), ITEMS, 5.0))
    only_ratings = by_pair(aggregate_events(events_of([], ratings), ITEMS, 5.0))
    assert {evidence[1] for evidence in only_views.values()} == {0.0}
    assert {evidence[0] for evidence in only_ratings.values()} == {-1.0}


def test_events_of_items_outside_the_catalogue_are_counted_over_all_blocks():
    """Each line of a view and each distinct rating counts."""
    views, ratings = random_rows(5)
    aggregated = aggregate_events(
        events_of(views, ratings), dict.fromkeys("abcd"), 10.0, block_events=20
    )
    n_lines = sum(view[3] for view in views if view[1] in "ef")
    n_ratings = len({rating for rating in ratings if rating[1] in "ef"})
    assert aggregated.dropped == {"item outside the catalogue": n_lines + n_ratings}


@given(
    users=st.lists(st.integers(0, 99), max_size=200),
    n_events=st.sampled_from([0, 1 << 20, 1 << 23, 1 << 40]),
)
def test_blocks_hold_every_row_once(users, n_events):
    """Each row is in its user's block, and a block's rows ascend."""
    user_row = np.asarray(users, np.int32)
    blocks = blocks_of(100, n_events)
    rows = blocks.rows(user_row)
    assert len(rows) == blocks.n_blocks
    assert [user for block in range(blocks.n_blocks) for user in blocks.users(block)] == [
        *range(100)
    ]
    for block, rows_of_block in enumerate(rows):
        inside = [row for row, user in enumerate(user_row) if user in blocks.users(block)]
        assert rows_of_block.tolist() == inside


def test_an_empty_catalogue_lists_nothing():
    """An empty catalogue drops every event, unlike no catalogue."""
    views, ratings = random_rows(5)
    with pytest.raises(NothingToLearnError, match="outside the catalogue"):
        aggregate_events(events_of(views, ratings), {}, 5.0)
