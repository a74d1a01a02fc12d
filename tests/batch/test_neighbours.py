"""The Annoy index: recall against exact search, and the same file every time."""

import numpy as np
import pytest

from batch.tables.neighbours import build_index, recall, save_index, similar_items
from serve.worker.index_check import check_index
from store.errors import WriteError


@pytest.fixture(scope="module")
def unit_vectors():
    vectors = np.random.default_rng(5).standard_normal((2_000, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def similar(unit_vectors):
    return similar_items(build_index(unit_vectors, n_trees=50, seed=42), 20)


def test_neighbours_on_a_circle_are_the_adjacent_ones():
    """Items at known angles: the nearest are the adjacent ones, of any length."""
    angles = np.linspace(0, np.pi, 40, endpoint=False)
    lengths = np.random.default_rng(1).uniform(0.1, 9, 40)
    vectors = (lengths * np.array([np.cos(angles), np.sin(angles)])).T.astype(np.float32)
    found = similar_items(build_index(vectors, n_trees=20, seed=42), 2)
    assert [set(rows) for rows in found[1:-1]] == [{row - 1, row + 1} for row in range(1, 39)]


def test_nearest_comes_first():
    """The list of an item is in the order of angles."""
    angles = np.array([0.0, 0.3, 0.1, 1.0, 0.2])
    vectors = np.array([np.cos(angles), np.sin(angles)]).T.astype(np.float32)
    assert similar_items(build_index(vectors, n_trees=20, seed=42), 4)[0] == [2, 4, 1, 3]


def test_no_item_is_its_own_neighbour(similar):
    """Each list holds k different other items."""
    assert all(len(set(rows)) == len(rows) == 20 for rows in similar)
    assert not any(item_row in rows for item_row, rows in enumerate(similar))


def test_fewer_items_than_places():
    """With only two other items a list has two."""
    found = similar_items(build_index(np.eye(3, dtype=np.float32), n_trees=5, seed=42), 20)
    assert [sorted(rows) for rows in found] == [[1, 2], [0, 2], [0, 1]]


def test_equal_vectors_are_neighbours_and_never_the_item_itself():
    """With many equal items a list still holds k others."""
    found = similar_items(build_index(np.ones((60, 4), np.float32), n_trees=10, seed=42), 20)
    assert all(len(set(rows) - {item_row}) == 20 for item_row, rows in enumerate(found))


def test_progress_counts_every_item():
    """Each item is reported once."""
    reported: list[int] = []
    similar_items(
        build_index(np.eye(5, dtype=np.float32), n_trees=2, seed=42), 2, on_items=reported.append
    )
    assert sum(reported) == 5


# --- recall -------------------------------------------------------------------------------


def test_an_index_of_50_trees_finds_nearly_all(unit_vectors, similar):
    """On 2,000 random directions more than 9 of 10 exact neighbours are found."""
    assert recall(similar, unit_vectors, 20, seed=42) > 0.9


def test_recall_of_poor_index_is_poor(unit_vectors):
    """The control of the test above: with one tree the recall is low."""
    poor = similar_items(build_index(unit_vectors, n_trees=1, seed=42), 20)
    assert recall(poor, unit_vectors, 20, seed=42) < 0.6


def exact_neighbours(vectors, k):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    return np.argsort(-cosine, axis=1)[:, :k].tolist()


def test_recall_of_exact_lists_is_1(unit_vectors):
    """Lists by brute force have a recall of 1, empty lists of 0."""
    lengths = np.random.default_rng(2).uniform(0.1, 9, (2_000, 1)).astype(np.float32)
    assert recall(exact_neighbours(unit_vectors, 20), unit_vectors * lengths, 20, seed=1) == 1.0
    assert recall([[]] * 2_000, unit_vectors, 20, seed=1) == 0.0


def test_recall_of_half_lists_is_a_half(unit_vectors):
    """Half of the exact neighbours is a recall of a half."""
    halves = [rows[:10] for rows in exact_neighbours(unit_vectors, 20)]
    assert recall(halves, unit_vectors, 20, seed=1) == 0.5


@pytest.mark.parametrize("n_items", [2, 5])
def test_recall_of_fewer_items_than_places(n_items):
    """With fewer items than places, lists of all others have a recall of 1."""
    vectors = np.eye(n_items, dtype=np.float32)
    found = similar_items(build_index(vectors, n_trees=5, seed=42), 20)
    assert recall(found, vectors, 20, seed=42) == 1.0


def test_recall_with_a_zero_vector_is_finite(unit_vectors):
    """An item without a direction does not make the recall NaN."""
    vectors = unit_vectors[:50].copy()
    vectors[7] = 0
    found = similar_items(build_index(vectors, n_trees=20, seed=42), 20)
    assert 0.5 < recall(found, vectors, 20, seed=42) <= 1


# --- the file -----------------------------------------------------------------------------


def file_of(vectors, path, seed):
    save_index(build_index(vectors, n_trees=20, seed=seed), path)
    return path.read_bytes()


def test_same_seed_gives_the_same_file(unit_vectors, tmp_path):
    """A second build from the same factors gives the same bytes."""
    first = file_of(unit_vectors, tmp_path / "first.ann", 42)
    assert file_of(unit_vectors, tmp_path / "again.ann", 42) == first


def test_other_seed_gives_another_file(unit_vectors, tmp_path):
    """The trees depend on the seed."""
    first = file_of(unit_vectors, tmp_path / "first.ann", 42)
    assert file_of(unit_vectors, tmp_path / "other.ann", 43) != first


def test_index_with_items_without_signal_is_served(unit_vectors, tmp_path):
    """Some factors shrink to nearly nothing; Annoy's splits of such vectors are not numbers."""
    norms = np.ones((len(unit_vectors), 1), np.float32)
    norms[::20] = np.geomspace(1e-24, 1e-14, len(norms[::20]))[:, None]
    index = build_index(unit_vectors * norms, n_trees=10, seed=7)
    save_index(index, tmp_path / "items.ann")
    check_index(tmp_path / "items.ann", unit_vectors.shape[1])
    assert index.get_item_vector(1) == unit_vectors[1].tolist()
    assert not any(index.get_item_vector(0))


def test_index_that_cannot_be_written_is_an_error_of_the_store(unit_vectors, tmp_path):
    """The error of a missing directory has its path."""
    index = build_index(unit_vectors[:10], n_trees=2, seed=42)
    with pytest.raises(WriteError, match=r"none/items\.ann: cannot be written"):
        save_index(index, tmp_path / "none" / "items.ann")
