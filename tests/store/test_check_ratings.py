"""`broken_records` of the rating model: numbers, and for everybody who has any both kinds."""

import struct

import pytest

from store.check import broken_records
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot

VECTOR = struct.pack("<2f", 1, -2)
SOUND = {
    "biases": {
        b"i/a": b"0.25",
        b"i/b": b"-1e-07",
        b"mean": b"3.5",
        b"scale": b"0.5 5",
        b"u/ann": b"-0.5",
    },
    "rating_users": {b"ann": VECTOR},
    "rating_items": {b"a": VECTOR, b"b": VECTOR},
}


def sentences(store, **factors):
    """Return what is said about a sound snapshot but for the tables given."""
    make_snapshot(store, {"ann": ["a"]}, ["a", "b"], factors=SOUND | factors)
    with open_snapshot(store, 1) as snapshot:
        return list(broken_records(snapshot))


def test_a_sound_rating_model_has_no_broken_record(store):
    """The twin of every rule below."""
    assert sentences(store) == []


def test_no_ratings_are_no_fault(store):
    """All three tables empty."""
    assert sentences(store, biases={}, rating_users={}, rating_items={}) == []


def test_a_snapshot_from_before_these_tables_is_sound(store):
    """It has a mean and biases, and no vectors."""
    assert sentences(store, biases={b"mean": b"3"}, rating_users=None, rating_items=None) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"mean", b"nan"), (b"mean", b""), (b"mean", b"3 4"), (b"mean", b"three"),
        (b"u/ann", b"inf"), (b"i/a", b"\xff"), (b"i/a", b"1  2"),
        (b"scale", b"5"), (b"scale", b"5 1"), (b"scale", b"1 nan"), (b"scale", b"1 2 5"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_named(store, key, value):
    """NaN, infinity, text, too many or too few, a scale that falls."""
    shown = value.decode("latin-1")
    assert sentences(store, biases=SOUND["biases"] | {key: value}) == [
        f"biases: {key.decode()}: {shown!r} is not what belongs there"
    ]


@pytest.mark.parametrize("key", ["mean", "scale"])
def test_biases_without_mean_or_scale_are_named(store, key):
    """Neither can be left out where there are biases."""
    biases = {name: value for name, value in SOUND["biases"].items() if name != key.encode()}
    assert sentences(store, biases=biases) == [f"biases: no {key}"]


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("u/b ob", "belongs to nobody"),
        ("i/z", "belongs to nobody"),
        ("u/bob", "no vector in rating_users"),
        ("means", "is no key of this table"),
    ],
)
def test_stray_biases_are_named(store, key, problem):
    """Of an id that cannot be, of an item that is not there, without a vector, of nothing."""
    biases = SOUND["biases"] | {key.encode(): b"1"}
    assert sentences(store, biases=biases) == [f"biases: {key}: {problem}"]


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (struct.pack("<3f", 1, 2, 3), "12 bytes, where others have 8"),
        (struct.pack("<2f", 1, float("nan")), "not finite"),
        (struct.pack("<2f", float("-inf"), 1), "not finite"),
    ],
)
def test_broken_vectors_are_named(store, vector, problem):
    """Of another length than the others, or with something that is no number."""
    vectors = SOUND["rating_items"] | {b"b": vector}
    assert sentences(store, rating_items=vectors) == [f"rating_items: b: {problem}"]


def test_a_vector_without_a_bias_is_named(store):
    """The other way round is among the stray ones."""
    users = SOUND["rating_users"] | {b"bob": VECTOR}
    assert sentences(store, rating_users=users) == ["rating_users: bob: no bias"]
