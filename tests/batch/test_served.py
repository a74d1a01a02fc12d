"""What is served, read back: vectors to begin with, in the rows of tonight's ids."""

import struct

import numpy as np
import pyarrow as pa
import pytest

from batch.parent import start_from
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot

USERS = pa.array(["ann", "bob", "cem", "new"])
ITEMS = pa.array(["a", "b"])


@pytest.fixture
def start(tmp_path):
    """Return what a snapshot of three users and two items lends."""

    def start(n_factors=2, **tables):
        lists = {name: ["a", "b"] for name in ("ann", "bob", "cem")}
        generation = make_snapshot(tmp_path, lists, ["a"], factors=tables)
        with open_snapshot(tmp_path, generation) as served:
            return start_from(served, USERS, ITEMS, n_factors, seed=1)

    return start


@pytest.mark.parametrize("n_at_a_time", [1, 2, 3, 10_000])
def test_each_id_begins_with_its_own_vector(start, monkeypatch, n_at_a_time):
    """However many are read at a time; who is new begins with something small."""
    monkeypatch.setattr("batch.parent._CHUNK", n_at_a_time)
    users, items = start()
    assert users[:3].tolist() == [[0, 1], [1, 1], [2, 1]]
    assert items.tolist() == [[0, 1], [1, 1]]
    assert 0 < np.abs(users[3]).max() < 0.1


def test_vectors_of_another_length_lend_nothing(start):
    """Those of the configuration before, for instance."""
    assert start(n_factors=3) is None


def test_one_vector_of_another_length_lends_nothing(start, monkeypatch):
    """Wherever it stands, and though the others are right."""
    monkeypatch.setattr("batch.parent._CHUNK", 2)
    broken = {b"ann": struct.pack("<2f", 0, 1), b"bob": struct.pack("<2f", 1, 1), b"cem": b"\0" * 4}
    assert start(users=broken) is None


def test_nobody_served_lends_nobody_a_vector(start):
    """All are new then."""
    users, _ = start(users={})
    assert 0 < np.abs(users).max() < 0.1
