"""ALS blended with popularity, and the choice of the popularity weight."""

import numpy as np
import scipy.sparse as sp

from batch.models.als import Als
from batch.models.auto import Auto, choose_weight
from batch.models.blend import mean_top_score, with_popularity
from batch.models.holdout import hold_out
from batch.models.popularity import Popularity, users_of_items
from tests.batch.made_weights import some_weights


def blended(fitted, weights, weight):
    return with_popularity(fitted, users_of_items(weights), weight * mean_top_score(fitted, 1))


def test_a_weight_of_0_does_not_change_the_lists():
    """A huge weight makes them the popular list."""
    weights = some_weights()
    als = Als(n_factors=4, iterations=5).fit(weights, n_threads=1)
    popular = Popularity().fit(weights).top_k(10).item_rows
    none = blended(als, weights, 0.0).top_k(10).item_rows
    much = blended(als, weights, 1e5).top_k(10).item_rows
    assert np.array_equal(none, als.top_k(10).item_rows)
    n_users = np.bincount(weights.indices)
    assert np.array_equal(n_users[much], n_users[popular])  # ties are broken by ALS
    assert (n_users[none] == n_users[popular]).mean() < 0.6


def test_the_first_columns_of_a_blend_are_those_of_als():
    """Neighbours and the next warm start use them."""
    weights = some_weights()
    als = Als(n_factors=4, iterations=5).fit(weights, n_threads=1)
    blend = blended(als, weights, 0.5)
    assert np.array_equal(blend.item_factors[:, :4], als.item_factors)
    assert np.array_equal(blend.user_factors[:, :4], als.user_factors)


def test_popularity_is_part_of_the_lists_of_folded_in_users():
    """With a huge weight their lists are the popular one."""
    weights = some_weights()
    als = Als(n_factors=4, iterations=5).fit(weights, n_threads=1)
    users = weights[:20]
    lists = blended(als, weights, 1e5).fold_in(users).top_k(10).item_rows
    popular = Popularity().fit(weights).fold_in(users).top_k(10).item_rows
    n_users = np.bincount(weights.indices)
    assert np.array_equal(n_users[lists], n_users[popular])


def test_popularity_is_chosen_where_interactions_are_not_personal():
    """All users draw items alike: no list beats the popular one, and the weight is large."""
    rng = np.random.default_rng(4)
    share = 1 / np.arange(1, 301) ** 1.1
    has = sp.lil_matrix((3000, 300), dtype=np.float32)
    for user in range(3000):
        has[user, rng.choice(300, 3, replace=False, p=share / share.sum())] = 1
    fitted = Auto(Als(n_factors=16, iterations=8, n_held_out=2000)).fit(
        sp.csr_matrix(has), n_threads=1
    )
    assert fitted.about["popularity_weight"] >= 3


def test_the_weight_is_small_where_interactions_are_personal():
    """Two groups share no item: popularity would make lists worse."""
    rng = np.random.default_rng(4)
    has = np.zeros((400, 400), np.float32)
    for user in range(400):
        has[user, 200 * (user % 2) + rng.choice(200, 30, replace=False)] = 1
    als = Als(n_factors=4, regularization=0.2, iterations=8, n_held_out=300)
    fitted = Auto(als).fit(sp.csr_matrix(has), n_threads=1)
    assert fitted.about["popularity_weight"] <= 0.4


def test_the_weight_with_the_best_holdout_is_chosen():
    """No other weight is better, and no smaller one is as good."""
    held = hold_out(some_weights(), None, 150, seed=1)
    trial = Als(n_factors=4, iterations=6).fit(held.weights, n_threads=1)
    weight, ndcg = choose_weight(trial, held, 1)
    found = {
        w: held.ndcg(blended(trial, held.weights, w).top_k(20, user_rows=held.user_rows)).mean()
        for w in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)
    }
    assert ndcg == found[weight] == max(found.values())
    assert all(other < ndcg for w, other in found.items() if w < weight)
    assert weight > 0  # the choice is not trivial on these data


def test_auto_is_als_without_a_holdout():
    """Users of one item each cannot be held out: the weight is 0."""
    one_each = sp.csr_matrix(np.tile(np.eye(10, dtype=np.float32), (3, 1)))
    fitted = Auto(Als(n_factors=3, iterations=2, n_held_out=100)).fit(one_each, n_threads=1)
    assert fitted.about["popularity_weight"] == 0
