"""Samples of users: what a sample holds, and how its factors return to all users."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models.choose import recommender
from batch.models.factors import Factors
from batch.sampling import sample, sample_rows, scatter_back
from batch.settings import MODELS, BatchSettings


def two_groups(n_users=600, n_items=40):
    """Even users have ten even items each, odd users ten odd ones."""
    rng = np.random.default_rng(5)
    has = np.zeros((n_users, n_items), np.float32)
    for user in range(n_users):
        has[user, rng.choice(np.arange(user % 2, n_items, 2), 10, replace=False)] = 1
    return sp.csr_matrix(has)


def test_a_few_users_are_all_sampled():
    """The weights are not even copied."""
    weights = two_groups()
    users = sample(weights, None, weights.nnz, seed=1)
    assert users.is_complete
    assert users.weights is weights


def test_sampled_users_have_all_of_their_interactions():
    """The sample has their weights and times, and no more interactions than the limit."""
    weights = two_groups()
    at = np.arange(weights.nnz)
    users = sample(weights, at, 1000, seed=1)
    assert len(users.user_rows) == 100
    assert (users.weights != weights[users.user_rows]).nnz == 0
    assert users.at is not None
    for row, user in enumerate(users.user_rows):
        in_sample = slice(users.weights.indptr[row], users.weights.indptr[row + 1])
        in_all = slice(weights.indptr[user], weights.indptr[user + 1])
        assert users.at[in_sample].tolist() == at[in_all].tolist()


def test_users_outside_of_the_sample_keep_their_initial_vectors():
    """Without initial vectors theirs are zeros."""
    users = sample(two_groups(), None, 1000, seed=1)
    random = np.random.default_rng(2)
    start = Factors(random.random((600, 4), np.float32), random.random((40, 4), np.float32))
    trained = Factors(np.full((100, 4), 9, np.float32), np.full((40, 4), 8, np.float32))
    others = np.setdiff1d(np.arange(600), users.user_rows)
    for initial, expected in ((start, start.user_factors), (None, np.zeros((600, 4)))):
        scattered = scatter_back(trained, users.user_rows, 600, initial)
        assert (scattered.user_factors[users.user_rows] == 9).all()
        assert np.array_equal(scattered.user_factors[others], expected[others])
        assert (scattered.item_factors == 8).all()
    restricted = users.restrict(start)
    assert restricted is not None
    assert np.array_equal(restricted.user_factors, start.user_factors[users.user_rows])


def test_sampled_rows_are_ascending_and_distinct():
    """At most as many as the limit, all of them if there are no more, the same for a seed."""
    rows = np.arange(100, 160)
    first, again = (sample_rows(rows, 20, np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == again.tolist() == sorted(set(first.tolist()))
    assert len(first) == 20
    assert set(first.tolist()) <= set(rows.tolist())
    assert sample_rows(rows, 100, np.random.default_rng(3)).tolist() == rows.tolist()
    assert sample_rows(rows, 0, np.random.default_rng(3)).tolist() == []


@pytest.mark.parametrize("model", MODELS)
def test_refit_makes_lists_for_all_users(model):
    """Users outside of the sample have lists too; of a personal model, of their own group."""
    weights = two_groups()
    settings = BatchSettings(
        n_factors=4,
        ials_factors=4,
        spectral_factors=2,
        n_neighbours=20,
        bpr_iterations=30,
        holdout_users=50,
    )
    users = sample(weights, None, 1500, seed=1)
    made = recommender(model, settings)
    trial = made.fit(users.weights, n_threads=1)
    lists = made.refit(trial, users.user_rows, weights, n_threads=1).top_k(5).item_rows
    assert lists.shape == (600, 5)
    assert not weights[np.repeat(np.arange(600), 5), lists.ravel()].any()
    if "popularity" not in model:
        is_own_group = lists % 2 == np.arange(600)[:, None] % 2
        assert is_own_group.mean() > 0.99
