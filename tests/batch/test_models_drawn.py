"""Users drawn by lot: nobody is forgotten, and items lose little."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models.als import Als
from batch.models.drawn import draw
from batch.models.least_squares import Model


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
        spread = drawn.spread(trained, given)
        assert (spread.user_factors[drawn.user_rows] == 9).all()
        assert np.array_equal(spread.user_factors[left_out], theirs[left_out])
        assert (spread.item_factors == 8).all()
    assert np.array_equal(drawn.only(start).user_factors, start.user_factors[drawn.user_rows])


@pytest.mark.parametrize("n_held_out", [0, 200])
def test_everybody_has_lists_of_their_taste(n_held_out):
    """Those too that the sweeps never met: ten items left, the best five are of their kind."""
    weights = two_tastes()
    als = Als(n_factors=4, n_swept=30, n_held_out=n_held_out)
    fitted = als.fit(weights, n_threads=1)
    lists = fitted.top_k(5, n_threads=1).item_rows
    assert (lists % 2 == np.arange(600)[:, None] % 2).all()
    assert (als.refit(fitted, weights).top_k(5, n_threads=1).item_rows % 2 == lists % 2).all()
