"""ALS on data whose right answer is known: communities, and the effect of confidence."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models.factors import Factors
from batch.models.least_squares import AlsParameters, train_als

PARAMETERS = AlsParameters(n_factors=4, regularization=2.0, alpha=2.0, iterations=10, seed=42)
GROUP_USERS, GROUP_ITEMS = 60, 25


@pytest.fixture
def communities():
    """Two groups that have half of their items; every third user has one of any group, too."""
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
    """Return the share of the top places that hold items of the user's own group."""
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
    """Unseen items of the own group rank before those of the other."""
    model = train_als(communities, replace(PARAMETERS, seed=seed), n_threads=2)
    assert share_of_own_items_first(model, communities) >= 0.95


def test_random_factors_do_not_recover_communities(communities):
    """The control of the test above: random factors get about half of it right."""
    rng = np.random.default_rng(0)
    model = train_als(communities, PARAMETERS, n_threads=2)
    noise = model._replace(
        user_factors=rng.standard_normal(model.user_factors.shape, dtype=np.float32)
    )
    assert share_of_own_items_first(noise, communities) < 0.8


def test_factors_have_a_row_for_each_user_and_item(communities):
    """They are float32, of the length of the parameter."""
    model = train_als(communities, PARAMETERS, n_threads=2)
    assert model.user_factors.shape == (2 * GROUP_USERS, 4)
    assert model.item_factors.shape == (2 * GROUP_ITEMS, 4)
    assert model.user_factors.dtype == model.item_factors.dtype == np.float32


def bits(model):
    return model.user_factors.tobytes(), model.item_factors.tobytes()


@pytest.mark.parametrize("n_threads", [1, 2, 0])
def test_same_seed_gives_the_same_bits(communities, n_threads):
    """On one thread, on two, on all: the factors are equal to the last bit."""
    again = train_als(communities, PARAMETERS, n_threads=n_threads)
    assert bits(again) == bits(train_als(communities, PARAMETERS, n_threads=1))


def test_other_seed_gives_other_factors(communities):
    """The initial factors depend on the seed."""
    assert bits(train_als(communities, replace(PARAMETERS, seed=7), n_threads=2)) != bits(
        train_als(communities, PARAMETERS, n_threads=2)
    )


def test_a_larger_alpha_fits_interactions_closer(communities):
    """The larger alpha, the closer to 1 is the prediction of a user's items."""
    pairs = communities.nonzero()
    errors = [
        float(
            np.abs(
                1
                - predicted(train_als(communities, replace(PARAMETERS, alpha=alpha), n_threads=2))[
                    pairs
                ]
            ).mean()
        )
        for alpha in (0.0, 2.0, 20.0)
    ]
    assert errors[0] > 1.2 * errors[1] > 1.2**2 * errors[2]


def test_a_larger_weight_fits_interactions_closer(communities):
    """Predictions of items watched to the end are closer to 1 than of those left at once."""
    weights = communities.copy()
    is_heavy = np.arange(weights.nnz) % 2 == 0
    weights.data = np.where(is_heavy, 1, 0.01).astype(np.float32)
    errors = np.abs(
        1
        - predicted(train_als(weights, replace(PARAMETERS, alpha=20.0), n_threads=2))[
            weights.nonzero()
        ]
    )
    assert errors[~is_heavy].mean() > 1.2 * errors[is_heavy].mean()


def test_regularization_makes_factors_small(communities):
    """A large regularization shrinks the factors."""
    loose, tight = (
        train_als(communities, replace(PARAMETERS, regularization=value), n_threads=2)
        for value in (0.01, 1000.0)
    )
    assert np.linalg.norm(predicted(tight)) < 0.5 * np.linalg.norm(predicted(loose))


def test_weights_are_not_modified(communities):
    """The confidence is computed on a copy."""
    before = communities.data.copy()
    train_als(communities, PARAMETERS, n_threads=2)
    assert np.array_equal(communities.data, before)


def test_progress_is_reported_once_an_iteration(communities):
    """The callback gets the factors after each sweep."""
    calls: list[Factors] = []
    train_als(communities, PARAMETERS, n_threads=2, on_iteration=calls.append)
    assert len(calls) == PARAMETERS.iterations


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_an_error(communities, value):
    """One NaN would silently make all factors NaN; the error has the number of them."""
    communities.data[17] = value
    with pytest.raises(BatchError, match="weights of the interactions: 1 of"):
        train_als(communities, PARAMETERS, n_threads=2)


def test_factors_that_are_not_finite_are_an_error(communities):
    """A confidence too large for float32 is an error, not a snapshot of NaN."""
    with pytest.raises(BatchError, match="factors"):
        train_als(communities, replace(PARAMETERS, alpha=1e30), n_threads=2)


def test_a_true_result_of_the_callback_ends_the_training(communities):
    """The third sweep is the last of ten."""
    calls: list[Factors] = []

    def on_iteration(factors: Factors) -> bool:
        calls.append(factors)
        return len(calls) == 3

    train_als(communities, PARAMETERS, n_threads=2, on_iteration=on_iteration)
    assert len(calls) == 3
