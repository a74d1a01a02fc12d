"""From model to snapshot: every table holds what it should, byte for byte."""

import json
import struct
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.cold_start.likes import LikedLists
from batch.cold_start.popular import popular_items
from batch.cold_start.segments import segment_items
from batch.interactions.build import Interactions, Ratings
from batch.models.least_squares import Model
from batch.ratings.train import train_ratings
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.tables.neighbours import build_index, save_index, similar_items
from batch.tables.write import SnapshotTables, write_tables
from batch.topk import NO_ITEM, top_k
from store.check import broken_records
from store.gate_result import GateResult
from store.layout import INDEX
from store.publish import writing
from store.snapshot import open_factors, open_snapshot
from store.writer import SnapshotWriter

N_ITEMS = 35
ITEM_IDS = [f"i{row:02}" for row in range(N_ITEMS)]
USER_IDS = ["all", "few", "first", "most"]  # what each of them has seen
SEEN = {"all": range(N_ITEMS), "few": [0, 5], "first": [0], "most": range(25)}
UNLISTED = Item("Never Watched", None, (), None, None)
ITEMS = {
    "i00": Item("Amélie", 2001, ("Comedy", "Romance"), 122.0, False),
    "i01": Item("An Adult Title", None, (), 80.5, True),
    "never": UNLISTED,
}
PROFILES = {
    "few": Profile(28, "F", "writer"),
    "child": Profile(9, "M", None),
    "youth": Profile(17, None, None),
    "woman": Profile(None, "F", None),
    "nobody": Profile(None, None, "writer"),
    "blank": Profile(None, None, None),
}


def content(**changes):
    """Return content whose best item is always the one with the lowest row, for everybody."""
    seen = sp.lil_matrix((len(USER_IDS), N_ITEMS), dtype=np.float32)
    for row, user_id in enumerate(USER_IDS):
        seen[row, list(SEEN[user_id])] = 1
    user, item = np.array([0, 1, 1]), np.array([3, 0, 5])
    ratings = Ratings(user, item, np.array([5, 1, 3], np.float32), 5.0)
    interactions = Interactions(
        pa.array(USER_IDS), pa.array(ITEM_IDS), seen.tocsr(), ratings, Counter(), 0
    )
    falling = np.arange(N_ITEMS, 0, -1, dtype=np.float32)
    model = Model(
        np.array([[1, 0.1 * row] for row in range(len(USER_IDS))], np.float32),
        np.column_stack((falling, np.zeros(N_ITEMS))).astype(np.float32),
    )
    fields = {
        "interactions": interactions,
        "model": model,
        "lists": top_k(*model, interactions.weights, 30),
        "similar": [[other for other in range(3) if other != row] for row in range(N_ITEMS)],
        "popular": popular_items(interactions, 20),
        "reserve": [],
        "by_segment": {"F": [1, 0], "25-34/F": [2], "0-17": list(range(20))},
        "items": ITEMS | {name: UNLISTED for name in ITEM_IDS if name not in ITEMS},
        "profiles": PROFILES,
        "ratings": train_ratings(ratings, len(USER_IDS), N_ITEMS, n_factors=2, seed=42),
    }
    return SnapshotTables(**{**fields, **changes})


@pytest.fixture
def written(tmp_path):
    """Write content as a snapshot, and open it."""
    opened = []

    def written(**changes):
        made = content(**changes)
        with writing(tmp_path), SnapshotWriter(tmp_path) as writer:
            index = build_index(made.model.item_factors, n_trees=2, seed=42)
            save_index(index, writer.path(INDEX))
            write_tables(writer, made)
            manifest = writer.finish(
                began_at="2026-11-21T01:00:00+00:00", finished_at="2026-11-21T02:00:00+00:00",
                code_version="test", inputs=[], parameters={}, metrics={}, gate=GateResult(),
            )  # fmt: skip
        opened.append(open_snapshot(tmp_path, manifest.generation))
        return opened[-1]

    yield written
    for snapshot in opened:
        snapshot.close()


def factors(snapshot, table):
    with open_factors(snapshot) as env, env.begin(db=env.open_db(table, create=False)) as txn:
        return dict(txn.cursor())


def names(rows):
    return ",".join(ITEM_IDS[row] for row in rows).encode()


# --- lists --------------------------------------------------------------------------------


def test_snapshot_keeps_every_rule(written):
    """No record breaks a rule of the format."""
    assert list(broken_records(written())) == []


def test_list_is_the_very_body_of_the_answer(written):
    """The 20 best unseen items joined by commas, and nothing else."""
    users = written().users
    assert users.get(b"first") == names(range(1, 21))
    assert users.get(b"few") == names([*range(1, 5), *range(6, 22)])


def test_short_list_has_no_empty_places(written):
    """Who has only 10 items left has a list of 10, without a comma at its end."""
    assert written().users.get(b"most") == names(range(25, 35))


def test_user_without_candidates_has_no_record(written):
    """Who has seen everything gets the fallback: an empty body would be served as an answer."""
    snapshot = written()
    assert [key for key, _ in snapshot.users] == [b"few", b"first", b"most"]
    assert snapshot.manifest.counts["recs.mdb/users"] == 3


def test_spares_are_the_next_ten(written):
    """What follows in the ranking, disjoint from the list; none for who has none."""
    assert dict(written().spares) == {
        b"few": names(range(22, 32)),
        b"first": names(range(21, 31)),
    }


def test_without_spares_the_table_is_empty(written):
    """A list of 20 and no more leaves nothing for takedowns, and is no error."""
    made = content()
    lists = top_k(*made.model, made.interactions.weights, 20)
    snapshot = written(lists=lists)
    assert dict(snapshot.spares) == {}
    assert snapshot.users.get(b"first") == names(range(1, 21))


def test_users_over_chunks_keep_their_own_lists(written, monkeypatch):
    """How many users are written at a time is no matter, to lists and to vectors."""
    expected = written()
    monkeypatch.setattr("batch.tables.write._CHUNK", 1)
    found = written()
    assert dict(found.users) == dict(expected.users)
    assert factors(found, b"users") == factors(expected, b"users")


def test_similar_are_the_names_of_the_neighbours(written):
    """One record for each item, in the order that the index gave."""
    snapshot = written(similar=[[34, 0]] + [[0, 34][: 1 + row % 2] for row in range(1, N_ITEMS)])
    assert snapshot.similar.get(b"i00") == b"i34,i00"
    assert snapshot.similar.get(b"i01") == b"i00,i34"
    assert snapshot.similar.get(b"i02") == b"i00"
    assert snapshot.manifest.counts["recs.mdb/similar"] == N_ITEMS


def test_neighbours_of_a_real_index_keep_the_rules(written):
    """What Annoy finds is written without an item twice."""
    vectors = np.random.default_rng(1).standard_normal((N_ITEMS, 2)).astype(np.float32)
    model = content().model._replace(item_factors=vectors)
    similar = similar_items(build_index(vectors, n_trees=10, seed=42), 20)
    assert list(broken_records(written(model=model, similar=similar))) == []


def test_fallback_holds_popular_and_every_segment(written):
    """One record for everybody and one for each segment, keys in the order of their bytes."""
    assert list(written().fallback) == [
        (b"0-17", names(range(20))),
        (b"25-34/F", b"i02"),
        (b"F", b"i01,i00"),
        (b"popular", names([0, 5, *range(1, 5), *range(6, 20)])),
    ]


def test_fallback_without_segments_is_popular_alone(written):
    """Where nobody is known there is still the list for everybody."""
    made = content()
    segments = segment_items(made.interactions, PROFILES, 20)  # fewer than 20 users: none
    assert [key for key, _ in written(by_segment=segments).fallback] == [b"popular"]


def test_users_who_only_say_what_they_like_stand_between_the_others(written):
    """Their lists and spares lie in the same tables; nothing is written for one without items."""
    rows = np.full((3, 30), NO_ITEM, np.int32)
    rows[0, :25], rows[1, :3] = range(5, 30), [9, 8, 7]
    snapshot = written(liked=LikedLists(["ann", "fey", "zoe"], rows))
    assert [user for user, _ in snapshot.users] == [b"ann", b"few", b"fey", b"first", b"most"]
    assert snapshot.users.get(b"ann") == names(range(5, 25))
    assert snapshot.spares.get(b"ann") == names(range(25, 30))
    assert (snapshot.users.get(b"fey"), snapshot.spares.get(b"fey")) == (names([9, 8, 7]), None)
    assert list(broken_records(snapshot)) == []


# --- what is known ------------------------------------------------------------------------


def test_profiles_are_the_segment_and_a_flag(written):
    """The most specific segment, and ` minor` after it for a minor; no record for the unknown."""
    assert dict(written().profiles) == {
        b"child": b"0-17/M minor",
        b"few": b"25-34/F/writer",
        b"nobody": b"writer",
        b"woman": b"F",
        b"youth": b"0-17 minor",
    }


def test_items_hold_what_the_catalogue_knows(written):
    """Each field that is known, and the row; what is unknown is left out."""
    items = written().items
    assert json.loads(items.get(b"i00")) == {
        "title": "Amélie",
        "year": 2001,
        "genres": ["Comedy", "Romance"],
        "runtime": 122.0,
        "adult": False,
        "item_row": 0,
    }
    assert json.loads(items.get(b"i01")) == {
        "title": "An Adult Title",
        "runtime": 80.5,
        "adult": True,
        "item_row": 1,
    }


def test_catalogue_item_that_nobody_touched_has_no_row(written):
    """It exists, and it has no factors."""
    assert json.loads(written().items.get(b"never")) == {"title": "Never Watched"}


def test_what_only_the_batch_learns_from_is_not_served(written):
    """Overview and language make vectors; they would make every lookup of an item slower."""
    told = Item("Heat", 1995, (), None, None, overview="A thief.", language="en")
    about = json.loads(written(items={**ITEMS, "heat": told}).items.get(b"heat"))
    assert about == {"title": "Heat", "year": 1995}


def test_items_are_plain_ascii(written):
    """A dump is readable on any terminal."""
    assert all(body.isascii() for _, body in written().items)


def test_without_a_catalogue_items_are_those_of_the_interactions(written):
    """Then an item is its row and no more."""
    snapshot = written(items={})
    assert dict(snapshot.items) == {
        name.encode(): json.dumps({"item_row": row}).encode() for row, name in enumerate(ITEM_IDS)
    }
    assert list(broken_records(snapshot)) == []


def test_rows_and_items_name_each_other(written):
    """Each row leads to the item whose row it is, and every item with a row is among them."""
    snapshot = written()
    row_of = {
        key: about["item_row"]
        for key, body in snapshot.items
        if "item_row" in (about := json.loads(body))
    }
    assert {name: int(row) for row, name in snapshot.rows} == row_of
    assert sorted(row_of.values()) == list(range(N_ITEMS))


def test_rows_are_keyed_in_decimal(written):
    """Row 10 is the key `10`, which LMDB keeps between 1 and 11."""
    snapshot = written()
    assert snapshot.rows.get(b"10") == b"i10"
    assert [key for key, _ in snapshot.rows][:4] == [b"0", b"1", b"10", b"11"]


# --- factors ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_factors_are_little_endian_float32(written, dtype):
    """A vector is n_factors times four bytes, whatever the array was in memory."""
    made = content().model
    snapshot = written(model=Model(*(part.astype(dtype) for part in made)))
    users, items = factors(snapshot, b"users"), factors(snapshot, b"items")
    assert users[b"few"] == struct.pack("<2f", 1.0, np.float32(0.1))
    assert items[b"i00"] == struct.pack("<2f", N_ITEMS, 0)
    assert (list(users), list(items)) == (
        [name.encode() for name in USER_IDS],
        [name.encode() for name in ITEM_IDS],
    )


def test_factors_come_back_to_the_last_bit(written):
    """What was trained is what a reader has."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((N_ITEMS, 64)).astype(np.float32)
    users = rng.standard_normal((len(USER_IDS), 64)).astype(np.float32)
    stored = factors(written(model=Model(users, vectors)), b"items")
    back = np.array([np.frombuffer(stored[name.encode()], "<f4") for name in ITEM_IDS])
    assert back.tobytes() == vectors.tobytes()


def test_rating_model_is_in_tables_of_its_own(written):
    """Biases and vectors of those with ratings; how they read is tested with the model."""
    snapshot = written()
    biases = factors(snapshot, b"biases")
    assert list(biases) == [b"i/i00", b"i/i03", b"i/i05", b"mean", b"scale", b"u/all", b"u/few"]
    assert biases[b"scale"] == b"1 5"
    tables = [factors(snapshot, name) for name in (b"rating_users", b"rating_items")]
    assert [list(table) for table in tables] == [[b"all", b"few"], [b"i00", b"i03", b"i05"]]
    assert {len(vector) for table in tables for vector in table.values()} == {2 * 4}


def test_without_ratings_the_tables_are_empty(written):
    """No ratings, no rating model; the tables are there and have no record."""
    snapshot = written(ratings=None)
    for name in (b"biases", b"rating_users", b"rating_items"):
        assert factors(snapshot, name) == {}
    assert list(broken_records(snapshot)) == []


# --- the files ----------------------------------------------------------------------------


def test_counts_are_in_the_manifest(written):
    """Each table's number of records is what the table holds."""
    snapshot = written()
    tables = ("users", "spares", "similar", "fallback", "profiles", "items", "rows")
    expected = {f"recs.mdb/{name}": len(list(getattr(snapshot, name))) for name in tables}
    expected |= {
        f"factors.mdb/{name}": len(factors(snapshot, name.encode()))
        for name in ("users", "items", "biases", "rating_users", "rating_items")
    }
    assert snapshot.manifest.counts == expected


@pytest.mark.parametrize("name", ["recs.mdb", "factors.mdb", "items.ann"])
def test_same_content_gives_the_same_file(written, name):
    """Written twice, a file is equal to the last byte."""
    first, again = written(), written()
    assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()


def test_longest_ids_fit(written):
    """A user id of 64 and an item id of 200 characters are keys, with their prefixes too."""
    made = content()
    user_ids, item_ids = [*USER_IDS[:-1], "z" * 64], [*ITEM_IDS[:-1], "z" * 200]
    interactions = Interactions(
        pa.array(user_ids), pa.array(item_ids), made.interactions.weights,
        made.interactions.ratings, Counter(), 0,
    )  # fmt: skip
    snapshot = written(interactions=interactions)
    assert snapshot.users.get(b"z" * 64).endswith(b"," + b"z" * 200)
    assert list(broken_records(snapshot)) == []
