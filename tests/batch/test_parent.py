"""The parent snapshot as a source of initial factors, in the rows of the new ids."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from batch.models.factors import Factors
from batch.parent import initial_factors
from batch.unavailable import Unavailable
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot

USERS = pa.array(["ann", "bob", "cem", "new"])
ITEMS = pa.array(["a", "b"])

Start = Callable[..., Factors | Unavailable]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return the initial factors from a snapshot of three users and two items."""

    def start(n_factors: int = 2, chunk: int = 10_000, **tables) -> Factors | Unavailable:
        lists = {name: ["a", "b"] for name in ("ann", "bob", "cem")}
        generation = make_snapshot(tmp_path, lists, ["a"], factors=tables)
        with open_snapshot(tmp_path, generation) as parent:
            return initial_factors(parent, USERS, ITEMS, n_factors, seed=1, chunk=chunk)

    return start


@pytest.mark.parametrize("chunk", [1, 2, 3, 10_000])
def test_each_id_has_its_own_vector(start, chunk):
    """The vectors do not depend on the number read at a time; that of a new id is small."""
    users, items = start(chunk=chunk)
    assert users[:3].tolist() == [[0, 1], [1, 1], [2, 1]]
    assert items.tolist() == [[0, 1], [1, 1]]
    assert 0 < np.abs(users[3]).max() < 0.1


def test_vectors_of_another_length_are_unavailable(start):
    """A parent of another `n_factors` cannot be used, and the reason names it."""
    assert start(n_factors=3) == Unavailable("vectors of generation 1 have another length")


def test_one_vector_of_another_length_is_enough(start):
    """The factors are unavailable at any position of that vector in the table."""
    broken = {b"ann": struct.pack("<2f", 0, 1), b"bob": struct.pack("<2f", 1, 1), b"cem": b"\0" * 4}
    assert isinstance(start(users=broken, chunk=2), Unavailable)


def test_a_parent_without_users_gives_small_random_vectors(start):
    """Every user is new then."""
    users, _ = start(users={})
    assert 0 < np.abs(users).max() < 0.1
