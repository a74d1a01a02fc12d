"""Random damage to the files of a snapshot: a damaged one is never served.

A flip is made in place and undone, so thousands of cases fit into a second.
More cases: `STORE_DAMAGE_ROUNDS=20000 .venv/bin/pytest tests/store/test_bit_flips.py`.
"""

import itertools
import os
import random

import pytest

from store.errors import StoreError
from store.layout import CHECKSUMS, DATA_FILES, MANIFEST, snapshot_folder
from store.publish import publish, writing
from store.snapshot import open_snapshot
from tests.snapshots import files_of, make_snapshot

FILES = (*DATA_FILES, MANIFEST, CHECKSUMS)
N_ROUNDS = int(os.environ.get("STORE_DAMAGE_ROUNDS", "1000"))
SEED = 23


@pytest.fixture
def three(store):
    """Generation 2 is current, 3 is complete but unpublished; 1 and 3 have equal lists."""
    lists = {f"user{n}": [f"item{n}", "a"] for n in range(300)}
    make_snapshot(store, lists, ["a", "b"])
    make_snapshot(store, {**lists, "user7": ["a"]}, ["b", "a"], index=b"another index" * 200)
    make_snapshot(store, lists, ["a", "b"], flip=False)
    return store


def is_served(store, generation):
    """Return whether the snapshot can be opened."""
    try:
        open_snapshot(store, generation).close()
    except StoreError:
        return False
    return True


def flip(path, bit):
    """Flip one bit of a file in place."""
    with path.open("r+b", buffering=0) as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def exchange(one, other):
    """Exchange two files."""
    spare = one.with_name("spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def test_no_snapshot_with_a_flipped_bit_is_opened(three):
    """1,000 random bits, chosen by file and then by position: each flip is found."""
    rng = random.Random(SEED)
    folder = snapshot_folder(three, 2)
    before = files_of(three)
    served = []
    for _ in range(N_ROUNDS):
        path = folder / rng.choice(FILES)
        bit = rng.randrange(8 * path.stat().st_size)
        flip(path, bit)
        if is_served(three, 2):
            served.append((path.name, bit))
        flip(path, bit)
    assert served == []
    assert files_of(three) == before
    assert is_served(three, 2)


def test_no_snapshot_with_several_flipped_bits_is_opened(three):
    """Two to eight bits, in one file or in several, do not hide each other."""
    rng = random.Random(SEED)
    folder = snapshot_folder(three, 2)
    for _ in range(N_ROUNDS // 2):
        paths = [folder / rng.choice(FILES) for _ in range(rng.randint(2, 8))]
        bits = {(path, rng.randrange(8 * path.stat().st_size)) for path in paths}
        for path, bit in bits:
            flip(path, bit)
        assert not is_served(three, 2), sorted(bits)
        for path, bit in bits:
            flip(path, bit)
    assert is_served(three, 2)


def test_no_snapshot_with_a_truncated_file_is_opened(three):
    """Truncated at a random byte, also when filled up with zeros like a lost block."""
    rng = random.Random(SEED)
    folder = snapshot_folder(three, 2)
    for _ in range(N_ROUNDS // 2):
        path = folder / rng.choice(FILES)
        content = path.read_bytes()
        n_left = rng.randrange(len(content))
        os.truncate(path, n_left)
        assert not is_served(three, 2), (path.name, n_left)
        os.truncate(path, len(content))
        is_unchanged = not any(content[n_left:])  # the lost bytes were zeros
        assert is_served(three, 2) == is_unchanged, (path.name, n_left)
        path.write_bytes(content)
    assert is_served(three, 2)


def test_no_snapshot_with_two_of_its_files_exchanged_is_opened(three):
    """Each of the ten pairs; both files are intact."""
    folder = snapshot_folder(three, 2)
    for one, other in itertools.combinations(FILES, 2):
        exchange(folder / one, folder / other)
        assert not is_served(three, 2), (one, other)
        exchange(folder / one, folder / other)
    assert is_served(three, 2)


def test_no_snapshot_with_files_of_its_neighbour_is_opened(three):
    """Every subset of the five files, exchanged between two sound generations."""
    one, two = snapshot_folder(three, 1), snapshot_folder(three, 2)
    for n_files in range(1, len(FILES) + 1):
        for names in itertools.combinations(FILES, n_files):
            differ = [n for n in names if (one / n).read_bytes() != (two / n).read_bytes()]
            for name in names:
                exchange(one / name, two / name)
            assert differ, "nothing was exchanged"
            assert not is_served(three, 1), names
            assert not is_served(three, 2), names
            for name in names:
                exchange(one / name, two / name)
    assert is_served(three, 1)
    assert is_served(three, 2)


def test_two_generations_with_exchanged_directories_are_not_opened(three):
    """The lists are equal, but the manifests name other generations."""
    exchange(snapshot_folder(three, 1), snapshot_folder(three, 3))
    assert not is_served(three, 1)
    assert not is_served(three, 3)


def test_no_damaged_snapshot_is_published(three):
    """Publishing refuses it before the journal is written."""
    rng = random.Random(SEED)
    folder = snapshot_folder(three, 3)
    before = files_of(three)
    with writing(three):
        for _ in range(N_ROUNDS // 10):
            path = folder / rng.choice(FILES)
            bit = rng.randrange(8 * path.stat().st_size)
            flip(path, bit)
            with pytest.raises(StoreError):
                publish(three, 3, "hope")
            flip(path, bit)
        assert files_of(three) == before
        publish(three, 3, "intact again")
