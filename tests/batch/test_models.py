"""One contract for every recommender, whatever it learns."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models.choose import recommender
from batch.models.finite import check_finite
from batch.settings import MODELS, BatchSettings
from batch.topk import NO_ITEM

SETTINGS = BatchSettings(
    n_factors=8, iterations=6, holdout_users=30, n_neighbours=15, bpr_iterations=150, n_threads=1
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
def test_it_bears_the_name_that_it_was_asked_for_by(name):
    """So tables and configuration speak of the same."""
    assert recommender(name, SETTINGS).name == name


def test_an_unknown_name_is_refused_with_those_that_there_are():
    """A typo does not end in another model."""
    with pytest.raises(ValueError, match="popularity"):
        recommender("asl", SETTINGS)


@pytest.mark.parametrize("name", MODELS)
def test_lists_are_full_and_hold_nothing_twice(fitted, weights, name):
    """Each user gets k different items that exist."""
    rows = fitted[name].top_k(K, n_threads=1).item_rows
    assert rows.shape == (weights.shape[0], K)
    assert rows.min() >= 0
    assert rows.max() < weights.shape[1]
    assert all(len(set(row)) == K for row in rows.tolist())


@pytest.mark.parametrize("name", MODELS)
def test_nothing_that_was_seen_comes_back(fitted, weights, name):
    """Not even when all that is left is asked for, and then the rest of a list is empty."""
    lists = fitted[name].top_k(weights.shape[1], n_threads=1)
    listed = [(u, i) for u, row in enumerate(lists.item_rows.tolist()) for i in row if i != NO_ITEM]
    assert not seen_pairs(weights) & set(listed)
    n_open = weights.shape[1] - np.diff(weights.indptr)
    assert ((lists.item_rows != NO_ITEM).sum(axis=1) == n_open).all()
    assert (lists.scores[lists.item_rows == NO_ITEM] == -np.inf).all()


@pytest.mark.parametrize("name", MODELS)
def test_scores_fall_and_ties_keep_the_lower_row_first(fitted, name):
    """The order is the score's, and where that is equal the item row's, unless filled up."""
    lists = fitted[name].top_k(K, n_threads=1)
    scores, rows = lists.scores, lists.item_rows
    assert (np.diff(scores, axis=1) <= 0).all()
    is_tie = (np.diff(scores, axis=1) == 0) & (scores[:, 1:] != 0)
    assert (np.diff(rows, axis=1)[is_tie] > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_same_input_gives_the_same_lists_on_any_number_of_threads(fitted, weights, name):
    """Fitted again, on two threads: equal to the last bit."""
    again = recommender(name, SETTINGS).fit(weights, n_threads=2).top_k(K, n_threads=2)
    first = fitted[name].top_k(K, n_threads=1)
    assert np.array_equal(again.item_rows, first.item_rows)
    assert again.scores.tobytes() == first.scores.tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_some_users_get_what_they_get_among_all(fitted, name):
    """Asked for in any order."""
    chosen = np.array([99, 3, 57])
    all_lists = fitted[name].top_k(K, n_threads=1).item_rows
    some = fitted[name].top_k(K, user_rows=chosen, n_threads=1).item_rows
    assert np.array_equal(some, all_lists[chosen])


@pytest.mark.parametrize("name", MODELS)
def test_hidden_items_leave_their_places_to_the_next(fitted, name):
    """What is hidden is in no list; the others keep their order."""
    hidden = {0, 1, 24, 30}
    longer = fitted[name].top_k(K + len(hidden), n_threads=1).item_rows
    expected = [[item for item in row if item not in hidden][:K] for row in longer.tolist()]
    assert fitted[name].top_k(K, hidden=hidden, n_threads=1).item_rows.tolist() == expected


@pytest.mark.parametrize("name", MODELS)
def test_hidden_items_do_not_fill_a_list_that_ends(fitted, weights, name):
    """When all is asked for, the last places are empty: the hidden ones are not there."""
    hidden = {0, 1, 24, 2 * GROUP_ITEMS - 1}
    rows = fitted[name].top_k(weights.shape[1], hidden=hidden, n_threads=1).item_rows
    for user, row in enumerate(rows.tolist()):
        had = set(weights[user].indices.tolist())
        assert set(row) - {NO_ITEM} == set(range(weights.shape[1])) - hidden - had


@pytest.mark.parametrize("name", FOLDING)
def test_users_that_were_folded_in_get_nearly_what_training_gives_them(fitted, weights, name):
    """The same users, as if they were strangers: most of their lists is the same."""
    strangers = fitted[name].fold_in(weights[:40]).top_k(K, n_threads=1).item_rows
    known = fitted[name].top_k(K, user_rows=np.arange(40), n_threads=1).item_rows
    common = [len(set(a) & set(b)) for a, b in zip(strangers.tolist(), known.tolist(), strict=True)]
    assert np.mean(common) >= 0.85 * K


@pytest.mark.parametrize("name", FOLDING)
def test_folding_in_masks_what_the_strangers_have(fitted, weights, name):
    """Not what the users of the same rows have."""
    strangers = weights[::-1][:20]
    rows = fitted[name].fold_in(sp.csr_matrix(strangers)).top_k(K, n_threads=1).item_rows
    listed = {(u, i) for u, row in enumerate(rows.tolist()) for i in row}
    assert not seen_pairs(sp.csr_matrix(strangers)) & listed


def test_bpr_says_that_it_cannot_fold_in(fitted, weights):
    """With the splits that it can be judged by."""
    with pytest.raises(BatchError, match="last-out"):
        fitted["bpr"].fold_in(weights[:2])


@pytest.mark.parametrize("name", ["auto", "als", "item_knn", "bpr"])
def test_it_learns_whose_group_a_user_is_of(fitted, weights, name):
    """Of 10 places at least 8 hold what is left of the own group; chance would be 5."""
    rows = fitted[name].top_k(K, n_threads=1).item_rows
    own = (rows >= GROUP_ITEMS) == (np.arange(len(rows)) >= GROUP_USERS)[:, None]
    assert own.mean() >= 0.8


def test_popularity_ranks_by_users_alone(fitted, weights):
    """The most had item first, for whoever has not had it; equal counts by row."""
    n_users = np.diff(sp.csc_matrix(weights).indptr)
    order = np.lexsort((np.arange(len(n_users)), -n_users)).tolist()
    had = [set(row.indices.tolist()) for row in weights]
    expected = [[item for item in order if item not in had[user]][:K] for user in range(len(had))]
    assert fitted["popularity"].top_k(K, n_threads=1).item_rows.tolist() == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(weights, name, value):
    """Before anything is learned from them."""
    broken = weights.copy()
    broken.data[17] = value
    with pytest.raises(BatchError, match="weights of the interactions: 1 of"):
        recommender(name, SETTINGS).fit(broken, n_threads=1)


@pytest.mark.parametrize("name", MODELS)
def test_weights_stay_as_they_were(weights, name):
    """What a model computes, it computes aside."""
    before = weights.copy()
    recommender(name, SETTINGS).fit(weights, at=np.arange(weights.nnz), n_threads=1)
    assert before.data.tobytes() == weights.data.tobytes()
    assert np.array_equal(before.indices, weights.indices)


@pytest.mark.parametrize("name", MODELS)
def test_what_it_keeps_is_finite_and_named(fitted, name):
    """Its size is that of these arrays."""
    arrays = fitted[name].arrays
    assert arrays
    for what, array in arrays.items():
        check_finite(np.asarray(array, np.float64), what)


@pytest.mark.parametrize("name", MODELS)
def test_progress_is_heard(weights, name):
    """At least once, so that a bar moves."""
    heard = []
    recommender(name, SETTINGS).fit(weights, n_threads=1, on_step=lambda: heard.append(1))
    assert heard


@pytest.mark.parametrize("name", MODELS)
def test_k_below_1_is_refused(fitted, name):
    """A list of nothing is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least 1"):
        fitted[name].top_k(0)


@pytest.mark.parametrize("similarity", ["cosine", "tfidf", "bm25"])
def test_item_knn_knows_three_similarities(weights, similarity):
    """Each finds the groups, and they are not the same."""
    settings = dataclasses.replace(SETTINGS, similarity=similarity)
    model = recommender("item_knn", settings).fit(weights, n_threads=1)
    rows = model.top_k(K, n_threads=1).item_rows
    own = (rows >= GROUP_ITEMS) == (np.arange(len(rows)) >= GROUP_USERS)[:, None]
    assert own.mean() >= 0.8
    data = {
        other: recommender("item_knn", dataclasses.replace(SETTINGS, similarity=other))
        .fit(weights, n_threads=1)
        .similarity.data.tobytes()
        for other in ("cosine", "tfidf", "bm25")
    }
    assert len(set(data.values())) == 3
