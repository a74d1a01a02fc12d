"""Writing a snapshot: the contents of every table, byte for byte."""

import json
import struct
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from batch.cold_start.popular import popular_items
from batch.cold_start.preference_lists import PreferenceLists
from batch.cold_start.segments import segment_items
from batch.interactions.build import Interactions, Ratings
from batch.models.factors import Factors
from batch.ratings.train import RatingOptions, train_ratings
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
USER_IDS = ["all", "few", "first", "most"]  # named after the items that they have seen
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
    "unknown": Profile(None, None, "writer"),
    "blank": Profile(None, None, None),
}


def made_tables(**changes):
    """Return tables in which the best item of every user is the one with the lowest row."""
    seen = sp.lil_matrix((len(USER_IDS), N_ITEMS), dtype=np.float32)
    for row, user_id in enumerate(USER_IDS):
        seen[row, list(SEEN[user_id])] = 1
    user, item = np.array([0, 1, 1]), np.array([3, 0, 5])
    ratings = Ratings(user, item, np.array([5, 1, 3], np.float32), 5.0)
    interactions = Interactions(
        pa.array(USER_IDS), pa.array(ITEM_IDS), seen.tocsr(), ratings, Counter(), 0
    )
    falling = np.arange(N_ITEMS, 0, -1, dtype=np.float32)
    factors = Factors(
        np.array([[1, 0.1 * row] for row in range(len(USER_IDS))], np.float32),
        np.column_stack((falling, np.zeros(N_ITEMS))).astype(np.float32),
    )
    fields = {
        "interactions": interactions,
        "factors": factors,
        "lists": top_k(*factors, interactions.weights, 30),
        "similar": [[other for other in range(3) if other != row] for row in range(N_ITEMS)],
        "popular": popular_items(interactions, 20),
        "reserve": [],
        "by_segment": {"F": [1, 0], "25-34/F": [2], "0-17": list(range(20))},
        "items": ITEMS | {name: UNLISTED for name in ITEM_IDS if name not in ITEMS},
        "profiles": PROFILES,
        "ratings": train_ratings(
            ratings, len(USER_IDS), N_ITEMS, RatingOptions(n_factors=2, seed=42)
        ),
    }
    return SnapshotTables(**{**fields, **changes})


@pytest.fixture
def written(tmp_path):
    """Write tables as a snapshot, and open it."""
    opened = []

    def written(chunk=10_000, **changes):
        made = made_tables(**changes)
        with writing(tmp_path), SnapshotWriter(tmp_path) as writer:
            index = build_index(made.factors.item_factors, n_trees=2, seed=42)
            save_index(index, writer.path(INDEX))
            write_tables(writer, made, made.users(chunk))
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


def test_a_snapshot_is_valid(written):
    """No record violates the format."""
    assert list(broken_records(written())) == []


def test_a_list_is_the_body_of_the_response(written):
    """The value is the 20 best unseen items joined by commas, and nothing else."""
    users = written().users
    assert users.get(b"first") == names(range(1, 21))
    assert users.get(b"few") == names([*range(1, 5), *range(6, 22)])


def test_short_list_has_no_empty_places(written):
    """A user with 10 unseen items has a list of 10, without a comma at its end."""
    assert written().users.get(b"most") == names(range(25, 35))


def test_user_without_candidates_has_no_record(written):
    """An empty value would be served as an empty list, in place of the fallback."""
    snapshot = written()
    assert [key for key, _ in snapshot.users] == [b"few", b"first", b"most"]
    assert snapshot.manifest.counts["recs.mdb/users"] == 3


def test_spares_are_the_next_ten(written):
    """The next items of the ranking; a user without spares has no record."""
    assert dict(written().spares) == {
        b"few": names(range(22, 32)),
        b"first": names(range(21, 31)),
    }


def test_without_spares_the_table_is_empty(written):
    """Lists of exactly 20 are valid."""
    made = made_tables()
    user_factors, item_factors = made.factors
    lists = top_k(user_factors, item_factors, made.interactions.weights, 20)
    snapshot = written(lists=lists)
    assert dict(snapshot.spares) == {}
    assert snapshot.users.get(b"first") == names(range(1, 21))


def test_the_chunk_does_not_change_the_tables(written):
    """Lists and vectors written one user at a time are those of a single chunk."""
    expected = written()
    found = written(chunk=1)
    assert dict(found.users) == dict(expected.users)
    assert factors(found, b"users") == factors(expected, b"users")


def test_similar_are_the_names_of_the_neighbours(written):
    """Each item has one record, in the order of the index."""
    snapshot = written(similar=[[34, 0]] + [[0, 34][: 1 + row % 2] for row in range(1, N_ITEMS)])
    assert snapshot.similar.get(b"i00") == b"i34,i00"
    assert snapshot.similar.get(b"i01") == b"i00,i34"
    assert snapshot.similar.get(b"i02") == b"i00"
    assert snapshot.manifest.counts["recs.mdb/similar"] == N_ITEMS


def test_neighbours_of_a_real_index_are_valid(written):
    """Lists of Annoy's neighbours hold no item twice."""
    vectors = np.random.default_rng(1).standard_normal((N_ITEMS, 2)).astype(np.float32)
    fitted = made_tables().factors._replace(item_factors=vectors)
    similar = similar_items(build_index(vectors, n_trees=10, seed=42), 20)
    assert list(broken_records(written(factors=fitted, similar=similar))) == []


def test_fallback_holds_popular_and_every_segment(written):
    """One record is for all users and one for each segment, keys in the order of their bytes."""
    assert list(written().fallback) == [
        (b"0-17", names(range(20))),
        (b"25-34/F", b"i02"),
        (b"F", b"i01,i00"),
        (b"popular", names([0, 5, *range(1, 5), *range(6, 20)])),
    ]


def test_fallback_without_segments_is_popular_alone(written):
    """Without profiles there is still the popular list."""
    made = made_tables()
    segments = segment_items(made.interactions, PROFILES, 20)  # fewer than 20 users: none
    assert [key for key, _ in written(by_segment=segments).fallback] == [b"popular"]


def test_lists_by_stated_preferences_are_in_the_same_tables(written):
    """They are merged in the order of user ids; a user with an empty list has no record."""
    rows = np.full((3, 30), NO_ITEM, np.int32)
    rows[0, :25], rows[1, :3] = range(5, 30), [9, 8, 7]
    snapshot = written(liked=PreferenceLists(["ann", "fey", "zoe"], rows))
    assert [user for user, _ in snapshot.users] == [b"ann", b"few", b"fey", b"first", b"most"]
    assert snapshot.users.get(b"ann") == names(range(5, 25))
    assert snapshot.spares.get(b"ann") == names(range(25, 30))
    assert (snapshot.users.get(b"fey"), snapshot.spares.get(b"fey")) == (names([9, 8, 7]), None)
    assert list(broken_records(snapshot)) == []


# --- profiles and items ------------------------------------------------------------------------


def test_profiles_are_the_segment_and_a_flag(written):
    """The most specific segment, and ` minor` after it for a minor; no record for the unknown."""
    assert dict(written().profiles) == {
        b"child": b"0-17/M minor",
        b"few": b"25-34/F/writer",
        b"unknown": b"writer",
        b"woman": b"F",
        b"youth": b"0-17 minor",
    }


def test_items_hold_the_known_fields_of_the_catalogue(written):
    """They hold the row too; unknown fields are left out."""
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


def test_an_item_without_interactions_has_no_row(written):
    """It has an entry, but no factors."""
    assert json.loads(written().items.get(b"never")) == {"title": "Never Watched"}


def test_fields_of_training_alone_are_not_served(written):
    """An overview would make every lookup of an item slower; the language is short."""
    item = Item("Heat", 1995, (), None, None, overview="A thief.", language="en")
    about = json.loads(written(items={**ITEMS, "heat": item}).items.get(b"heat"))
    assert about == {"title": "Heat", "year": 1995, "language": "en"}


def test_items_are_plain_ascii(written):
    """A dump is readable on any terminal."""
    assert all(body.isascii() for _, body in written().items)


def test_without_a_catalogue_items_are_those_of_the_interactions(written):
    """An entry is the row alone."""
    snapshot = written(items={})
    assert dict(snapshot.items) == {
        name.encode(): json.dumps({"item_row": row}).encode() for row, name in enumerate(ITEM_IDS)
    }
    assert list(broken_records(snapshot)) == []


def test_rows_and_items_are_consistent(written):
    """Each row has the item of that row, and every item with a row is among them."""
    snapshot = written()
    row_of = {
        key: about["item_row"]
        for key, body in snapshot.items
        if "item_row" in (about := json.loads(body))
    }
    assert {name: int(row) for row, name in snapshot.rows} == row_of
    assert sorted(row_of.values()) == list(range(N_ITEMS))


def test_rows_are_keyed_in_decimal(written):
    """Row 10 has the key `10`, which LMDB sorts between 1 and 11."""
    snapshot = written()
    assert snapshot.rows.get(b"10") == b"i10"
    assert [key for key, _ in snapshot.rows][:4] == [b"0", b"1", b"10", b"11"]


# --- factors ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
def test_factors_are_little_endian_float32(written, dtype):
    """A vector is n_factors times four bytes, for any type of the array in memory."""
    made = made_tables().factors
    snapshot = written(factors=Factors(*(part.astype(dtype) for part in made)))
    users, items = factors(snapshot, b"users"), factors(snapshot, b"items")
    assert users[b"few"] == struct.pack("<2f", 1.0, np.float32(0.1))
    assert items[b"i00"] == struct.pack("<2f", N_ITEMS, 0)
    assert (list(users), list(items)) == (
        [name.encode() for name in USER_IDS],
        [name.encode() for name in ITEM_IDS],
    )


def test_factors_come_back_to_the_last_bit(written):
    """A reader gets the trained vectors."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((N_ITEMS, 64)).astype(np.float32)
    users = rng.standard_normal((len(USER_IDS), 64)).astype(np.float32)
    stored = factors(written(factors=Factors(users, vectors)), b"items")
    back = np.array([np.frombuffer(stored[name.encode()], "<f4") for name in ITEM_IDS])
    assert back.tobytes() == vectors.tobytes()


def test_rating_model_is_in_tables_of_its_own(written):
    """They hold biases and vectors of users and items with ratings."""
    snapshot = written()
    biases = factors(snapshot, b"biases")
    assert list(biases) == [b"i/i00", b"i/i03", b"i/i05", b"mean", b"scale", b"u/all", b"u/few"]
    assert biases[b"scale"] == b"1 5"
    tables = [factors(snapshot, name) for name in (b"rating_users", b"rating_items")]
    assert [list(table) for table in tables] == [[b"all", b"few"], [b"i00", b"i03", b"i05"]]
    assert {len(vector) for table in tables for vector in table.values()} == {2 * 4}


def test_without_ratings_the_tables_are_empty(written):
    """The tables exist and have no record."""
    snapshot = written(ratings=None)
    for name in (b"biases", b"rating_users", b"rating_items"):
        assert factors(snapshot, name) == {}
    assert list(broken_records(snapshot)) == []


# --- the files ----------------------------------------------------------------------------


def test_counts_are_in_the_manifest(written):
    """The counts are the numbers of records in the tables."""
    snapshot = written()
    tables = ("users", "spares", "similar", "fallback", "profiles", "items", "rows")
    expected = {f"recs.mdb/{name}": len(list(getattr(snapshot, name))) for name in tables}
    expected |= {
        f"factors.mdb/{name}": len(factors(snapshot, name.encode()))
        for name in ("users", "items", "biases", "rating_users", "rating_items")
    }
    assert snapshot.manifest.counts == expected


@pytest.mark.parametrize("name", ["recs.mdb", "factors.mdb", "items.ann"])
def test_the_same_tables_give_the_same_file(written, name):
    """Writing it twice gives the same bytes."""
    first, again = written(), written()
    assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()


def test_longest_ids_fit(written):
    """A user id of 64 and an item id of 200 characters are valid keys, with prefixes too."""
    made = made_tables()
    user_ids, item_ids = [*USER_IDS[:-1], "z" * 64], [*ITEM_IDS[:-1], "z" * 200]
    interactions = Interactions(
        pa.array(user_ids), pa.array(item_ids), made.interactions.weights,
        made.interactions.ratings, Counter(), 0,
    )  # fmt: skip
    snapshot = written(interactions=interactions)
    assert snapshot.users.get(b"z" * 64).endswith(b"," + b"z" * 200)
    assert list(broken_records(snapshot)) == []
