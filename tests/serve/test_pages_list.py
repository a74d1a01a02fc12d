"""The JSON of a user's list: score and rule of each item, where the snapshot has them."""

import contextlib
import math
import struct
import time

import pytest

from batch.models.choose import recommender
from serve.pages.opened import OpenedSnapshot
from serve.pages.user_list import user_list
from store.fresh import FreshList, FreshWriter
from store.model_files import history_of
from store.snapshot import open_snapshot
from store.takedown import take_down
from tests.snapshots import make_snapshot
from tests.stream.fresh_snapshots import (
    NO_RULES,
    SETTINGS,
    World,
    made_events,
    made_items,
    write_snapshot,
)

ITEMS = [f"i{number:02}" for number in range(20)]
LISTS = {"ann": ITEMS, "bob": ITEMS}
ALS = {"choice": {"parts": [{"model": "als", "share": 1.0}, {"model": "ease", "share": 0.0}]}}
BLEND = {"choice": {"parts": [{"model": "als", "share": 0.5}, {"model": "ease", "share": 0.5}]}}


@pytest.fixture
def shown(tmp_path):
    """A function that returns a snapshot of two users, and the items of one's list by item id."""
    with contextlib.ExitStack() as held:

        def show(user, parameters):
            spares = {"ann": ["s"]}
            make_snapshot(tmp_path, LISTS, ["p"], spares=spares, parameters=parameters)
            opened = OpenedSnapshot(held.enter_context(open_snapshot(tmp_path, 1)))
            return opened, by_item(tmp_path, opened, user)

        yield show


def by_item(store, opened, user):
    return {one["item_id"]: one for one in user_list(store, opened, user, 0)["items"]}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({"model": "ials"}, 4.0), (ALS, 4.0), (BLEND, None), ({"model": "ease"}, None), ({}, None)],
)
def test_a_score_is_shown_where_one_model_of_factors_makes_the_list(shown, parameters, expected):
    """It is user times item: (1, 1) · (3, 1) for bob and the fourth item."""
    assert shown("bob", parameters)[1]["i03"]["score"] == expected


def test_a_user_without_a_list_gets_no_score(shown):
    assert shown("stranger", ALS)[1]["p"]["score"] is None


def test_the_similarity_of_two_items_is_the_cosine_of_their_vectors(shown):
    opened, _ = shown("ann", BLEND)
    expected = (3 * 4 + 1) / math.sqrt((3 * 3 + 1) * (4 * 4 + 1))
    assert opened.scores.similarity("i03", "i04") == pytest.approx(expected)
    assert opened.scores.similarity("i03", "unknown") is None


def test_rules_are_shown_that_drew_an_item_or_moved_a_spare_up(tmp_path, shown):
    """The last places of a list, and what fills it where an item is taken down; no other."""
    opened, before = shown("ann", {"rules": {"explore": 3}})
    assert {name for name, one in before.items() if one["rule"]} == {"i17", "i18", "i19"}
    assert before["i19"]["rule"] == "explore"
    take_down(tmp_path, ["i02"], "rights ended")
    after = by_item(tmp_path, opened, "ann")
    assert (after["s"]["rule"], after["s"]["rank"]) == ("spare", 20)
    assert (after["i17"]["rule"], after["i16"]["rule"]) == ("explore", None)


def test_without_exploration_no_place_is_drawn(shown):
    _, found = shown("ann", {"rules": {"explore": 0}})
    assert {one["rule"] for one in found.values()} == {None}


def test_rules_without_a_trace_are_named_for_the_whole_list(tmp_path, shown):
    """Those that differ from their neutral value; none for a list that is not the user's own."""
    rules = {"deny": ["x"], "cap": 1.0, "diversity": 0.3, "adult_filter": False, "explore": 2}
    opened, _ = shown("ann", {"rules": rules})
    found = user_list(tmp_path, opened, "ann", 0)
    assert found["rules_without_trace"] == ["deny", "diversity"]
    assert user_list(tmp_path, opened, "stranger", 0)["rules_without_trace"] == []


def test_without_rules_none_is_named(tmp_path, shown):
    """A snapshot whose manifest has no section of rules."""
    opened, _ = shown("ann", {})
    assert user_list(tmp_path, opened, "ann", 0)["rules_without_trace"] == []


def test_a_fresh_list_says_how_many_items_were_watched_since(tmp_path):
    """Those of its history that the snapshot's has not; of a stored list nothing is said."""
    world = World(made_items(), SETTINGS, NO_RULES)
    interactions = world.interactions(made_events(3, 0, 7))
    model = recommender("ials", SETTINGS).fit(interactions.weights, n_threads=1)
    write_snapshot(tmp_path, world, model, interactions)
    with open_snapshot(tmp_path, 1) as snapshot:
        opened = OpenedSnapshot(snapshot)
        before = history_of(snapshot, "u01")
        assert before
        row_of = {name.decode(): int(row) for row, name in snapshot.rows}
        new = sorted(row_of.keys() - set(before))[:2]
        rows = sorted(row_of[name] for name in (*before, *new))
        n_columns = len(snapshot.manifest.parameters["served_model"]["history"])
        assert user_list(tmp_path, opened, "u01", 24.0)["n_since"] is None
        with FreshWriter(tmp_path) as writer:
            history = struct.pack(f"<{len(rows) * n_columns}I", *rows * n_columns)
            writer.put([(b"u01", FreshList(1, time.time(), b"i01,i02"), history)])
        found = user_list(tmp_path, opened, "u01", 24.0)
        assert (found["source"], found["n_history"], found["n_since"]) == (
            "fresh", len(before) + 2, 2,
        )  # fmt: skip
        assert user_list(tmp_path, opened, "u02", 24.0)["n_since"] is None
