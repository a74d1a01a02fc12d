"""Users drawn by lot: nobody is forgotten, and items lose little."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models.choose import recommender
from batch.models.drawn import draw, scatter_back
from batch.models.least_squares import Model
from batch.settings import BatchSettings


def two_tastes(n_users=600, n_items=40):
    """Even users have even items, odd ones odd items, ten each."""
    rng = np.random.default_rng(5)
    has = np.zeros((n_users, n_items), np.float32)
    for user in range(n_users):
        has[user, rng.choice(np.arange(user % 2, n_items, 2), 10, replace=False)] = 1
    return sp.csr_matrix(has)


def test_few_enough_are_all_drawn():
    """And nothing is copied."""
    weights = two_tastes()
    drawn = draw(weights, None, weights.nnz, seed=1)
    assert drawn.is_everybody
    assert drawn.weights is weights


def test_the_drawn_have_all_that_they_had():
    """Their interactions and the times of these, and no more of them than is wanted."""
    weights = two_tastes()
    at = np.arange(weights.nnz)
    drawn = draw(weights, at, 1000, seed=1)
    assert len(drawn.user_rows) == 100
    assert (drawn.weights != weights[drawn.user_rows]).nnz == 0
    for row, user in enumerate(drawn.user_rows):
        mine = slice(drawn.weights.indptr[row], drawn.weights.indptr[row + 1])
        theirs = slice(weights.indptr[user], weights.indptr[user + 1])
        assert drawn.at[mine].tolist() == at[theirs].tolist()


def test_who_was_not_drawn_keeps_their_vector():
    """That of the start, and zeros where there was none."""
    drawn = draw(two_tastes(), None, 1000, seed=1)
    random = np.random.default_rng(2)
    start = Model(random.random((600, 4), np.float32), random.random((40, 4), np.float32))
    trained = Model(np.full((100, 4), 9, np.float32), np.full((40, 4), 8, np.float32))
    left_out = np.setdiff1d(np.arange(600), drawn.user_rows)
    for given, theirs in ((start, start.user_factors), (None, np.zeros((600, 4)))):
        everybody = scatter_back(trained, drawn.user_rows, 600, given)
        assert (everybody.user_factors[drawn.user_rows] == 9).all()
        assert np.array_equal(everybody.user_factors[left_out], theirs[left_out])
        assert (everybody.item_factors == 8).all()
    assert np.array_equal(drawn.only(start).user_factors, start.user_factors[drawn.user_rows])


@pytest.mark.parametrize("model", ["als", "auto", "item_knn", "bpr", "popularity"])
def test_everybody_has_lists_in_the_end(model):
    """Those too that the trial never met; where taste is learned, of their taste."""
    weights = two_tastes()
    settings = BatchSettings(n_factors=4, n_neighbours=20, bpr_iterations=30, holdout_users=50)
    drawn = draw(weights, None, 1500, seed=1)
    made = recommender(model, settings)
    trial = made.fit(drawn.weights, n_threads=1)
    lists = made.refit(trial, drawn.user_rows, weights, n_threads=1).top_k(5).item_rows
    assert lists.shape == (600, 5)
    assert not weights[np.repeat(np.arange(600), 5), lists.ravel()].any()
    if model != "popularity":
        is_their_taste = lists % 2 == np.arange(600)[:, None] % 2
        assert is_their_taste.mean() > 0.99
