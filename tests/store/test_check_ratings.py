"""`broken_records` of the rating model: finite numbers, and a bias and a vector for each id."""

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


def problems_of(store, **factors):
    """Return the problems of a sound snapshot with the given tables replaced."""
    make_snapshot(store, {"ann": ["a"]}, ["a", "b"], factors=SOUND | factors)
    with open_snapshot(store, 1) as snapshot:
        return list(broken_records(snapshot))


def test_a_sound_rating_model_has_no_broken_record(store):
    """The sound counterpart of the cases below."""
    assert problems_of(store) == []


def test_empty_rating_tables_are_sound(store):
    """The data has no ratings."""
    assert problems_of(store, biases={}, rating_users={}, rating_items={}) == []


def test_a_snapshot_from_before_these_tables_is_sound(store):
    """It has a mean and biases, and no vectors."""
    assert problems_of(store, biases={b"mean": b"3"}, rating_users=None, rating_items=None) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"mean", b"nan"), (b"mean", b""), (b"mean", b"3 4"), (b"mean", b"three"),
        (b"u/ann", b"inf"), (b"i/a", b"\xff"), (b"i/a", b"1  2"),
        (b"scale", b"5"), (b"scale", b"5 1"), (b"scale", b"1 nan"), (b"scale", b"1 2 5"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_a_number_is_named(store, key, value):
    """NaN, infinity, text, too many or too few numbers, a descending scale."""
    shown = value.decode("latin-1")
    assert problems_of(store, biases=SOUND["biases"] | {key: value}) == [
        f"biases: {key.decode()}: {shown!r} is not a valid value"
    ]


@pytest.mark.parametrize("key", ["mean", "scale"])
def test_biases_without_mean_or_scale_are_named(store, key):
    """Both are required where there are biases."""
    biases = {name: value for name, value in SOUND["biases"].items() if name != key.encode()}
    assert problems_of(store, biases=biases) == [f"biases: {key} missing"]


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("u/b ob", "has no such user or item"),
        ("i/z", "has no such user or item"),
        ("u/bob", "has no vector in rating_users"),
        ("means", "is not a valid key of this table"),
    ],
)
def test_biases_without_an_owner_are_named(store, key, problem):
    """An invalid user id, a missing item, a missing vector, an unknown key."""
    biases = SOUND["biases"] | {key.encode(): b"1"}
    assert problems_of(store, biases=biases) == [f"biases: {key}: {problem}"]


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (struct.pack("<3f", 1, 2, 3), "12 bytes, expected 8"),
        (struct.pack("<2f", 1, float("nan")), "has a value that is not finite"),
        (struct.pack("<2f", float("-inf"), 1), "has a value that is not finite"),
    ],
)
def test_broken_vectors_are_named(store, vector, problem):
    """One of another length, and two with a value that is not finite."""
    vectors = SOUND["rating_items"] | {b"b": vector}
    assert problems_of(store, rating_items=vectors) == [f"rating_items: b: {problem}"]


def test_a_vector_without_a_bias_is_named(store):
    """The vector is named."""
    users = SOUND["rating_users"] | {b"bob": VECTOR}
    assert problems_of(store, rating_users=users) == ["rating_users: bob: has no bias"]
