"""One contract for every recommender."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models.choose import recommender
from batch.models.finite import check_finite
from batch.models.item_knn import ItemKnn
from batch.settings import MODELS, BatchSettings
from batch.topk import NO_ITEM

SETTINGS = BatchSettings(
    n_factors=8,
    iterations=6,
    holdout_users=30,
    n_neighbours=15,
    bpr_iterations=150,
    n_threads=1,
    ials_factors=8,
    spectral_factors=4,
    ease_regularization=20.0,
    graph_filter_singular_vectors=8,
)
GROUP_USERS, GROUP_ITEMS, K = 70, 24, 10
FOLDING = [name for name in MODELS if name != "bpr"]


@pytest.fixture(scope="module")
def weights():
    """Two groups, each of which has some of its own items, the first of them most often."""
    rng = np.random.default_rng(5)
    has = np.zeros((2 * GROUP_USERS, 2 * GROUP_ITEMS), np.float32)
    liked = 1 / np.arange(1, GROUP_ITEMS + 1) ** 0.5
    for user in range(len(has)):
        first = GROUP_ITEMS * (user >= GROUP_USERS)
        items = rng.choice(GROUP_ITEMS, 8, replace=False, p=liked / liked.sum())
        has[user, first + items] = rng.uniform(0.5, 1, 8)
    return sp.csr_matrix(has)


@pytest.fixture(scope="module")
def fitted(weights):
    """Every model, fitted once."""
    return {name: recommender(name, SETTINGS).fit(weights, n_threads=1) for name in MODELS}


def seen_pairs(weights):
    return set(zip(*(part.tolist() for part in weights.nonzero()), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_a_recommender_has_the_name_of_the_setting(name):
    """Tables and configuration use the same names."""
    assert recommender(name, SETTINGS).name == name


def test_an_unknown_name_is_an_error_with_the_valid_ones():
    """A typo does not select another model."""
    with pytest.raises(ValueError, match="popularity"):
        recommender("asl", SETTINGS)


@pytest.mark.parametrize("name", MODELS)
def test_lists_are_full_and_without_repeats(fitted, weights, name):
    """Each user gets k different items that exist."""
    rows = fitted[name].top_k(K, n_threads=1).item_rows
    assert rows.shape == (weights.shape[0], K)
    assert rows.min() >= 0
    assert rows.max() < weights.shape[1]
    assert all(len(set(row)) == K for row in rows.tolist())


@pytest.mark.parametrize("name", MODELS)
def test_lists_hold_no_seen_items(fitted, weights, name):
    """With k as large as the catalogue, lists hold every unseen item and end with NO_ITEM."""
    lists = fitted[name].top_k(weights.shape[1], n_threads=1)
    listed = [(u, i) for u, row in enumerate(lists.item_rows.tolist()) for i in row if i != NO_ITEM]
    assert not seen_pairs(weights) & set(listed)
    n_open = weights.shape[1] - np.diff(weights.indptr)
    assert ((lists.item_rows != NO_ITEM).sum(axis=1) == n_open).all()
    assert (lists.scores[lists.item_rows == NO_ITEM] == -np.inf).all()


@pytest.mark.parametrize("name", MODELS)
def test_scores_fall_and_ties_keep_the_lower_row_first(fitted, name):
    """Lists are sorted by score, then by item row, except for filled places."""
    lists = fitted[name].top_k(K, n_threads=1)
    scores, rows = lists.scores, lists.item_rows
    assert (np.diff(scores, axis=1) <= 0).all()
    is_tie = (np.diff(scores, axis=1) == 0) & (scores[:, 1:] != 0)
    assert (np.diff(rows, axis=1)[is_tie] > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_same_input_gives_the_same_lists_on_any_number_of_threads(fitted, weights, name):
    """A second fit on two threads gives the same bits."""
    again = recommender(name, SETTINGS).fit(weights, n_threads=2).top_k(K, n_threads=2)
    first = fitted[name].top_k(K, n_threads=1)
    assert np.array_equal(again.item_rows, first.item_rows)
    assert again.scores.tobytes() == first.scores.tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_lists_of_some_users_are_those_among_all(fitted, name):
    """The rows may be in any order."""
    chosen = np.array([99, 3, 57])
    all_lists = fitted[name].top_k(K, n_threads=1).item_rows
    some = fitted[name].top_k(K, user_rows=chosen, n_threads=1).item_rows
    assert np.array_equal(some, all_lists[chosen])


@pytest.mark.parametrize("name", MODELS)
def test_hidden_items_are_replaced_by_the_next(fitted, name):
    """Hidden items are in no list; the others keep their order."""
    hidden = {0, 1, 24, 30}
    longer = fitted[name].top_k(K + len(hidden), n_threads=1).item_rows
    expected = [[item for item in row if item not in hidden][:K] for row in longer.tolist()]
    assert fitted[name].top_k(K, hidden=hidden, n_threads=1).item_rows.tolist() == expected


@pytest.mark.parametrize("name", MODELS)
def test_hidden_items_do_not_fill_a_short_list(fitted, weights, name):
    """With k as large as the catalogue, the last places are empty."""
    hidden = {0, 1, 24, 2 * GROUP_ITEMS - 1}
    rows = fitted[name].top_k(weights.shape[1], hidden=hidden, n_threads=1).item_rows
    for user, row in enumerate(rows.tolist()):
        had = set(weights[user].indices.tolist())
        assert set(row) - {NO_ITEM} == set(range(weights.shape[1])) - hidden - had


@pytest.mark.parametrize("name", FOLDING)
def test_a_user_folded_in_alone_has_the_list_of_training(fitted, weights, name):
    """To the last bit of each score, whatever users are beside it."""
    known = fitted[name].top_k(K, n_threads=2)
    for user in range(0, weights.shape[0], 7):
        alone = fitted[name].fold_in(weights[user : user + 1]).top_k(K, n_threads=1)
        assert alone.item_rows.tolist() == known.item_rows[user : user + 1].tolist()
        assert alone.scores.tobytes() == known.scores[user].tobytes()


@pytest.mark.parametrize("name", FOLDING)
def test_fold_in_masks_the_items_of_the_new_users(fitted, weights, name):
    """The items of the training users in the same rows are not masked."""
    others = weights[::-1][:20]
    rows = fitted[name].fold_in(sp.csr_matrix(others)).top_k(K, n_threads=1).item_rows
    listed = {(u, i) for u, row in enumerate(rows.tolist()) for i in row}
    assert not seen_pairs(sp.csr_matrix(others)) & listed


def test_bpr_cannot_fold_in(fitted, weights):
    """The error names the splits that it can be evaluated with."""
    with pytest.raises(BatchError, match="last-out"):
        fitted["bpr"].fold_in(weights[:2])


@pytest.mark.parametrize("name", [name for name in MODELS if "popularity" not in name])
def test_lists_hold_items_of_the_users_group(fitted, weights, name):
    """At least 8 of 10 items are of the user's own group; chance would give 5."""
    rows = fitted[name].top_k(K, n_threads=1).item_rows
    own = (rows >= GROUP_ITEMS) == (np.arange(len(rows)) >= GROUP_USERS)[:, None]
    assert own.mean() >= 0.8


def test_popularity_ranks_by_users_alone(fitted, weights):
    """The item with most users is first, unless seen; equal counts are sorted by row."""
    n_users = np.diff(sp.csc_matrix(weights).indptr)
    order = np.lexsort((np.arange(len(n_users)), -n_users)).tolist()
    had = [set(row.indices.tolist()) for row in weights]
    expected = [[item for item in order if item not in had[user]][:K] for user in range(len(had))]
    assert fitted["popularity"].top_k(K, n_threads=1).item_rows.tolist() == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_an_error(weights, name, value):
    """Before training begins."""
    broken = weights.copy()
    broken.data[17] = value
    with pytest.raises(BatchError, match="weights of the interactions: 1 of"):
        recommender(name, SETTINGS).fit(broken, n_threads=1)


@pytest.mark.parametrize("name", MODELS)
def test_weights_are_not_modified(weights, name):
    """A model computes on copies."""
    before = weights.copy()
    recommender(name, SETTINGS).fit(weights, at=np.arange(weights.nnz), n_threads=1)
    assert before.data.tobytes() == weights.data.tobytes()
    assert np.array_equal(before.indices, weights.indices)


@pytest.mark.parametrize("name", MODELS)
def test_arrays_are_finite_and_named(fitted, name):
    """The size of the model is that of these arrays."""
    arrays = fitted[name].arrays
    assert arrays
    for what, array in arrays.items():
        check_finite(np.asarray(array, np.float64), what)


@pytest.mark.parametrize("name", MODELS)
def test_progress_is_reported(weights, name):
    """The callback is called at least once, so that a progress bar moves."""
    calls: list[int] = []
    recommender(name, SETTINGS).fit(weights, n_threads=1, on_step=lambda _=None: calls.append(1))
    assert calls


@pytest.mark.parametrize("name", MODELS)
def test_k_below_1_is_an_error(fitted, name):
    """An empty list is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least 1"):
        fitted[name].top_k(0)


@pytest.mark.parametrize("similarity", ["cosine", "tfidf", "bm25"])
def test_item_knn_has_three_similarities(weights, similarity):
    """Each finds the groups, and they differ."""
    settings = dataclasses.replace(SETTINGS, similarity=similarity)
    model = recommender("item_knn", settings).fit(weights, n_threads=1)
    rows = model.top_k(K, n_threads=1).item_rows
    own = (rows >= GROUP_ITEMS) == (np.arange(len(rows)) >= GROUP_USERS)[:, None]
    assert own.mean() >= 0.8
    data = {
        ItemKnn(SETTINGS.n_neighbours, other).fit(weights, n_threads=1).item_item.data.tobytes()
        for other in ("cosine", "tfidf", "bm25")
    }
    assert len(data) == 3
