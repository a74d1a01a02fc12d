"""EASE, RP3β and the graph filter: their formulas on small dense cases, and their limits."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.memory import available_bytes
from batch.models.choose import recommender
from batch.models.ease import Ease
from batch.models.graph_filter import GraphFilter
from batch.models.nearest import nearest
from batch.models.rp3beta import Rp3Beta
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from tests.batch.made_weights import some_weights

USERS = np.arange(200)


@pytest.fixture(scope="module")
def weights():
    """200 users × 40 items, none of them without users."""
    return some_weights()


@pytest.fixture(scope="module")
def has(weights):
    return weights.toarray().astype(np.float64)


def dense(item_item):
    return item_item if isinstance(item_item, np.ndarray) else item_item.toarray()


# --- EASE ---------------------------------------------------------------------------------


def ease_by_numpy(has, regularization):
    inverse = np.linalg.inv(has.T @ has + regularization * np.eye(has.shape[1]))
    item_item = -inverse / np.diag(inverse)
    np.fill_diagonal(item_item, 0)
    return item_item


@pytest.mark.parametrize("n_items", [1, 40, 300])
@pytest.mark.parametrize("regularization", [3.0, 300.0])
def test_ease_is_the_formula_of_the_paper(n_items, regularization):
    """B by NumPy's inverse, for one block of items and for several."""
    has = (np.random.default_rng(4).random((300, n_items)) < 0.1).astype(np.float32)
    fitted = Ease(regularization).fit(sp.csr_matrix(has), n_threads=2)
    assert fitted.item_item == pytest.approx(ease_by_numpy(has, regularization), abs=1e-6)


def test_scores_of_ease_are_history_times_weights(weights, has):
    """And 1 in the history for every weight."""
    expected = has @ ease_by_numpy(has, 10.0)
    assert Ease(10.0).fit(weights).scores(USERS) == pytest.approx(expected, abs=1e-5)
    assert Ease(10.0).fit(weights * 2.5).scores(USERS) == pytest.approx(expected, abs=1e-5)


def test_ease_of_a_large_catalogue_is_that_of_its_most_popular_items(weights, has):
    """The others have a score of 0; equally popular ones are taken by row."""
    popular = np.sort(np.argsort(-has.sum(axis=0), kind="stable")[:12])
    fitted = Ease(10.0, max_items=12).fit(weights)
    scores = fitted.scores(USERS)
    expected = has[:, popular] @ ease_by_numpy(has[:, popular], 10.0)
    assert fitted.arrays["item_rows"].tolist() == popular.tolist()
    assert scores[:, popular] == pytest.approx(expected, abs=1e-5)
    assert not np.delete(scores, popular, axis=1).any()
    assert Ease(10.0, max_items=40).fit(weights).item_rows is None


def test_ease_keeps_the_largest_weights_of_an_item(weights, has):
    """By size: a large negative weight matters as much as a positive one."""
    expected = ease_by_numpy(has, 10.0)
    smallest_kept = np.sort(np.abs(expected), axis=0)[-7]
    expected[np.abs(expected) < smallest_kept] = 0
    found = Ease(10.0, n_neighbours=7).fit(weights).item_item
    assert dense(found) == pytest.approx(expected, abs=1e-6)
    assert ((dense(found) != 0).sum(axis=0) == 7).all()


def test_ease_that_does_not_fit_memory_is_refused_before_training(weights, monkeypatch):
    """The error has the need, and a number of items that fits."""
    monkeypatch.setattr("batch.models.ease.available_bytes", lambda: 12 * 30**2 + 5)
    with pytest.raises(BatchError, match=r"EASE of 40 items: training takes .*items to 30 or less"):
        Ease().fit(weights)
    assert len(Ease(max_items=30).fit(weights).item_item) == 30


def test_a_singular_matrix_is_an_error_that_names_the_setting():
    """Two items with the same users, and no regularization."""
    with pytest.raises(BatchError, match=r"raise \[batch\] ease_regularization"):
        Ease(regularization=0.0).fit(sp.csr_matrix(np.ones((5, 2), np.float32)))


def test_memory_of_ease_grows_with_items_up_to_the_maximum():
    """12 bytes for each pair of items."""
    assert Ease(max_items=1000).training_bytes(100) == 120_000
    assert Ease(max_items=1000).training_bytes(50_000) == 12_000_000


def test_available_memory_is_the_least_of_machine_and_control_group(tmp_path):
    """A container has less than its machine; without a limit, the machine counts."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 900 kB\nMemAvailable:   800 kB\n")
    assert available_bytes(meminfo, tmp_path) == 800 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    for limit, expected in (("max", 800 * 1024), ("5000", 4000), ("900", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert available_bytes(meminfo, tmp_path) == expected


# --- RP3β ---------------------------------------------------------------------------------


def walks_by_numpy(has, alpha, beta):
    to_item = (has / has.sum(axis=1, keepdims=True)) ** alpha
    to_user = (has.T / has.sum(axis=0)[:, None]) ** alpha
    item_item = to_user @ to_item / has.sum(axis=0) ** beta
    np.fill_diagonal(item_item, 0)
    return item_item


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 0.6), (0.5, 0.3), (1.7, 1.0)])
def test_rp3beta_is_the_walk_over_a_dense_graph(weights, has, alpha, beta):
    """All neighbours kept."""
    fitted = Rp3Beta(alpha, beta, n_neighbours=40).fit(weights)
    expected = walks_by_numpy(has, alpha, beta)
    assert dense(fitted.item_item) == pytest.approx(expected, rel=1e-5)
    assert fitted.scores(USERS) == pytest.approx(has @ expected, rel=1e-4)


def test_beta_lists_less_popular_items(weights, has):
    """The reason for β: with a larger one, mean popularity of the lists falls."""
    n_users = has.sum(axis=0)
    mean = [
        n_users[Rp3Beta(beta=beta).fit(weights).top_k(5).item_rows].mean() for beta in (0, 0.5, 1)
    ]
    assert mean[0] > mean[1] > mean[2]


# --- the graph filter ---------------------------------------------------------------------


def graph_filter_by_numpy(has, n_singular_vectors, weight):
    n_items, n_users = has.sum(axis=1, keepdims=True), has.sum(axis=0)
    normalized = has / np.sqrt(n_items) / np.sqrt(n_users)
    linear = normalized.T @ normalized
    np.fill_diagonal(linear, 0)
    vectors = np.linalg.svd(normalized)[2][:n_singular_vectors].T
    low_pass = vectors @ vectors.T / np.sqrt(n_users)[:, None] * np.sqrt(n_users)
    return linear + weight * low_pass


@pytest.mark.parametrize(("n_singular_vectors", "weight"), [(0, 0.3), (24, 0.3), (30, 2.0), (6, 0)])
def test_graph_filter_is_the_formula_of_the_paper(weights, has, n_singular_vectors, weight):
    """By NumPy's dense decomposition, all neighbours kept, the subspace as large as the matrix."""
    fitted = GraphFilter(n_singular_vectors, weight, n_neighbours=40).fit(weights)
    expected = has @ graph_filter_by_numpy(has, n_singular_vectors, weight)
    assert fitted.scores(USERS) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_more_singular_vectors_than_the_data_has_are_as_many_as_it_has():
    """A tiny matrix is no error."""
    tiny = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], np.float32))
    assert GraphFilter(64).fit(tiny).arrays["left"].shape == (3, 2)
    assert GraphFilter(64).fit(tiny[:1]).arrays["left"].shape == (3, 1)


def test_items_without_users_have_no_score(weights):
    """They divide nothing by 0."""
    empty = np.zeros((weights.shape[0], 3), np.float32)
    wider = sp.csr_matrix(np.hstack([weights.toarray(), empty]))
    for model in (Ease(10.0), Rp3Beta(), GraphFilter(6)):
        scores = model.fit(wider).scores(USERS)
        assert np.isfinite(scores).all()
        assert not scores[:, -3:].any()


# --- what they share ----------------------------------------------------------------------


@pytest.mark.parametrize("n_items", [1, 7, 3000])
def test_nearest_keeps_the_largest_of_each_row(n_items):
    """Without the item itself, in several blocks, the same on any number of threads."""
    similar = np.random.default_rng(3).random((n_items, n_items)).astype(np.float32)
    found = [nearest(lambda rows: similar[rows], n_items, 5, n) for n in (1, 2)]
    np.fill_diagonal(similar, 0)
    kth = -np.sort(-similar, axis=1)[:, min(5, n_items) - 1]
    assert np.array_equal(found[0].toarray(), np.where(similar >= kth[:, None], similar, 0))
    assert found[0].data.tobytes() == found[1].data.tobytes()


@pytest.mark.parametrize("model", [Ease(10.0), Rp3Beta(), GraphFilter(6)])
def test_lists_are_scores_sorted(weights, model):
    """Unseen items above 0 by a stable sort of all scores, then the popular ones."""
    fitted = model.fit(weights)
    scores = np.where(weights.toarray() > 0, 0, fitted.scores(USERS))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    scored = np.take_along_axis(scores, order, axis=1) > 0
    found = fitted.top_k(10)
    assert np.array_equal(np.where(scored, found.item_rows, -2), np.where(scored, order, -2))
    assert (found.item_rows != NO_ITEM).all()
    assert scored.mean() > 0.9


@pytest.mark.parametrize("model", [Ease(10.0), Rp3Beta(), GraphFilter(6)])
def test_users_without_items_get_the_popular_list(weights, has, model):
    """A history of nothing scores nothing."""
    nobody = sp.csr_matrix(np.zeros((2, weights.shape[1]), np.float32))
    popular = np.argsort(-has.sum(axis=0), kind="stable")[:5]
    found = model.fit(weights).fold_in(nobody).top_k(5)
    assert found.item_rows.tolist() == [popular.tolist()] * 2
    assert not found.scores.any()


@pytest.mark.parametrize(
    "model", [Ease(10.0), Ease(10.0, max_items=20), Ease(10.0, n_neighbours=5), GraphFilter(6)]
)
def test_folding_in_the_training_users_changes_nothing(weights, model):
    """The models are linear in the history."""
    fitted = model.fit(weights)
    folded_in = fitted.fold_in(weights[50:90])
    assert np.array_equal(folded_in.scores(np.arange(40)), fitted.scores(np.arange(50, 90)))


@pytest.mark.parametrize("max_items", [10, 40])
def test_arrays_hold_the_whole_model(weights, max_items):
    """Popular items are named where the model has no others."""
    fitted = Ease(10.0, max_items=max_items).fit(weights)
    n_bytes = sum(array.nbytes for name, array in fitted.arrays.items() if "item_item" in name)
    assert n_bytes == 4 * max_items**2
    assert ("item_rows" in fitted.arrays) == (max_items < 40)
    assert {"left", "right"} <= set(GraphFilter(6).fit(weights).arrays)


@pytest.mark.parametrize("model", [Ease(10.0), Rp3Beta(), GraphFilter(6)])
def test_models_are_the_same_bytes_on_any_number_of_threads(model):
    """Of enough items for several blocks."""
    weights = some_weights(n_users=400, n_items=700, density=0.05)
    one, two = (model.fit(weights, n_threads=n) for n in (1, 2))
    assert all(one.arrays[name].tobytes() == two.arrays[name].tobytes() for name in one.arrays)


def test_settings_reach_the_models():
    """Each key is a parameter of one model."""
    settings = BatchSettings(
        ease_regularization=3, ease_max_items=4, ease_neighbours=5,
        rp3beta_alpha=0.6, rp3beta_beta=0.7, rp3beta_neighbours=8,
        graph_filter_singular_vectors=9, graph_filter_weight=1.5, graph_filter_neighbours=10,
        seed=11,
    )  # fmt: skip
    assert recommender("ease", settings) == Ease(3, 4, 5)
    assert recommender("rp3beta", settings) == Rp3Beta(0.6, 0.7, 8)
    assert recommender("graph_filter", settings) == GraphFilter(9, 1.5, 10, 11)
