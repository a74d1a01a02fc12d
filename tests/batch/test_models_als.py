"""ALS on data whose right answer is known: communities, and what confidence does."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models.least_squares import train_als

HOW = {
    "n_factors": 4, "regularization": 2.0, "alpha": 2.0, "iterations": 10, "seed": 42,
    "n_threads": 2,
}  # fmt: skip
GROUP_USERS, GROUP_ITEMS = 60, 25


@pytest.fixture
def communities():
    """Two groups, each of which has half of its own items; every third user strays once."""
    rng = np.random.default_rng(3)
    has = np.zeros((2 * GROUP_USERS, 2 * GROUP_ITEMS), np.float32)
    for user in range(len(has)):
        first = GROUP_ITEMS * (user >= GROUP_USERS)
        has[user, first + rng.permutation(GROUP_ITEMS)[: GROUP_ITEMS // 2]] = 1
        if user % 3 == 0:
            has[user, rng.integers(has.shape[1])] = 1
    return sp.csr_matrix(has)


def predicted(model):
    return model.user_factors @ model.item_factors.T


def share_of_own_items_first(model, weights):
    """Return how often what is ranked before all else is of the user's own group."""
    scores = predicted(model)
    scores[weights.nonzero()] = -np.inf
    hits, places = 0, 0
    for user, row in enumerate(scores):
        is_own = (np.arange(len(row)) >= GROUP_ITEMS) == (user >= GROUP_USERS)
        n_open = int((is_own & (row > -np.inf)).sum())
        hits += int(is_own[np.argsort(-row)[:n_open]].sum())
        places += n_open
    return hits / places


@pytest.mark.parametrize("seed", [1, 42, 2**31])
def test_communities_are_recovered(communities, seed):
    """Users are offered what is left of their own group before anything of the other."""
    model = train_als(communities, **{**HOW, "seed": seed})
    assert share_of_own_items_first(model, communities) >= 0.95


def test_chance_would_not_recover_them(communities):
    """The twin of the test above: untrained factors get about half of it right."""
    rng = np.random.default_rng(0)
    model = train_als(communities, **HOW)
    noise = model._replace(
        user_factors=rng.standard_normal(model.user_factors.shape, dtype=np.float32)
    )
    assert share_of_own_items_first(noise, communities) < 0.8


def test_factors_have_a_row_for_each_user_and_item(communities):
    """Float32, of the length that was asked for."""
    model = train_als(communities, **HOW)
    assert model.user_factors.shape == (2 * GROUP_USERS, 4)
    assert model.item_factors.shape == (2 * GROUP_ITEMS, 4)
    assert model.user_factors.dtype == model.item_factors.dtype == np.float32


def bits(model):
    return model.user_factors.tobytes(), model.item_factors.tobytes()


@pytest.mark.parametrize("n_threads", [1, 2, 0])
def test_same_seed_gives_the_same_bits(communities, n_threads):
    """On one thread, on two, on all, and again: the factors are equal to the last bit."""
    again = train_als(communities, **{**HOW, "n_threads": n_threads})
    assert bits(again) == bits(train_als(communities, **{**HOW, "n_threads": 1}))


def test_other_seed_gives_other_factors(communities):
    """The seed is what the factors begin with."""
    assert bits(train_als(communities, **{**HOW, "seed": 7})) != bits(train_als(communities, **HOW))


def test_alpha_is_how_much_an_interaction_counts(communities):
    """The higher alpha, the closer to 1 is predicted what a user has had."""
    met = communities.nonzero()
    misses = [
        float(np.abs(1 - predicted(train_als(communities, **{**HOW, "alpha": alpha}))[met]).mean())
        for alpha in (0.0, 2.0, 20.0)
    ]
    assert misses[0] > 1.2 * misses[1] > 1.2**2 * misses[2]


def test_weight_is_how_much_an_interaction_counts(communities):
    """What was watched to the end is predicted nearer to 1 than what was left at once."""
    weights = communities.copy()
    is_heavy = np.arange(weights.nnz) % 2 == 0
    weights.data = np.where(is_heavy, 1, 0.01).astype(np.float32)
    misses = np.abs(1 - predicted(train_als(weights, **{**HOW, "alpha": 20.0}))[weights.nonzero()])
    assert misses[~is_heavy].mean() > 1.2 * misses[is_heavy].mean()


def test_regularization_makes_factors_small(communities):
    """A heavy regularization leaves little of the factors."""
    loose, tight = (
        train_als(communities, **{**HOW, "regularization": value}) for value in (0.01, 1000.0)
    )
    assert np.linalg.norm(predicted(tight)) < 0.5 * np.linalg.norm(predicted(loose))


def test_weights_stay_as_they_were(communities):
    """The confidence is computed aside: the caller's weights are not touched."""
    before = communities.data.copy()
    train_als(communities, **HOW)
    assert np.array_equal(communities.data, before)


def test_progress_is_heard_once_an_iteration(communities):
    """One call for each sweep."""
    heard = []
    train_als(communities, **HOW, on_iteration=lambda: heard.append(1))
    assert len(heard) == HOW["iterations"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(communities, value):
    """One NaN would make all factors NaN without a word: it is an error that counts them."""
    communities.data[17] = value
    with pytest.raises(BatchError, match="weights of the interactions: 1 of"):
        train_als(communities, **HOW)


def test_factors_that_are_not_finite_are_refused(communities):
    """A confidence that float32 cannot carry ends in words, not in a snapshot of NaN."""
    with pytest.raises(BatchError, match="factors"):
        train_als(communities, **{**HOW, "alpha": 1e30})
