"""What models are made of: holdouts, warm starts, blends, short lists, sparse top-k."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import BatchError
from batch.models.als import Als
from batch.models.auto import Auto, choose_weight
from batch.models.blend import mean_top_score, with_popularity
from batch.models.fill import filled
from batch.models.holdout import EarlyStopping, hold_out, without
from batch.models.least_squares import Model, solve_users
from batch.models.popularity import Popularity, users_of_items
from batch.models.sparse_topk import sparse_top_k
from batch.models.warm import carry_over
from batch.topk import NO_ITEM, TopK


def some_weights(n_users=200, n_items=40, density=0.15, seed=1):
    """Return users of two tastes over items of falling popularity, and noise."""
    rng = np.random.default_rng(seed)
    liked = 1 / np.arange(1, n_items + 1) ** 0.7
    taste = np.where(np.arange(n_users)[:, None] % 2 == np.arange(n_items) % 2, 3.0, 0.3)
    has = rng.random((n_users, n_items)) < taste * liked / liked.mean() * density / 2
    has[:, 0] |= ~has.any(axis=1)
    return sp.csr_matrix(has.astype(np.float32))


# The holdout


def test_one_item_of_each_chosen_user_is_held_out():
    """Of users with 2 or more; everything else stays where it was."""
    weights = some_weights()
    held = hold_out(weights, None, 50, seed=3)
    gone = (weights - held.weights).tocoo()
    assert len(held.user_rows) == 50
    assert np.array_equal(gone.row[np.argsort(gone.row)], held.user_rows)
    assert dict(zip(gone.row, gone.col, strict=True)) == dict(
        zip(held.user_rows, held.item_rows, strict=True)
    )
    assert (np.diff(held.weights.indptr)[held.user_rows] >= 1).all()


def test_the_latest_item_is_held_out_where_times_are_known():
    """And none of the others."""
    weights = some_weights()
    at = np.random.default_rng(0).permutation(weights.nnz)
    held = hold_out(weights, at, 10**6, seed=3)
    for user, item in zip(held.user_rows, held.item_rows, strict=True):
        row = slice(weights.indptr[user], weights.indptr[user + 1])
        assert weights.indices[row][np.argmax(at[row])] == item


def test_users_of_a_single_item_keep_it():
    """Nothing would be left to tell them by."""
    weights = sp.csr_matrix(np.eye(6, dtype=np.float32))
    held = hold_out(weights, None, 100, seed=0)
    assert len(held.user_rows) == 0
    assert (held.weights != weights).nnz == 0


def test_ndcg_of_a_holdout_is_that_of_one_relevant_item():
    """First place 1, third place 1 / log2(4), absent 0."""
    held = hold_out(some_weights(), None, 3, seed=1)
    wrong = [(item + 1) % 40 for item in held.item_rows]
    other = [(item + 2) % 40 for item in held.item_rows]
    rows = [
        [held.item_rows[0], wrong[0], other[0]],
        [wrong[1], other[1], held.item_rows[1]],
        [wrong[2], other[2], NO_ITEM],
    ]
    lists = TopK(np.array(rows, np.int32), np.zeros((3, 3), np.float32))
    assert held.ndcg(lists).tolist() == [1, 0.5, 0]


def test_without_drops_the_entries_at_those_places():
    """Places are those of `data`."""
    weights = some_weights(20, 10)
    places = np.array([0, 5, weights.nnz - 1])
    left = without(weights, places)
    assert left.nnz == weights.nnz - 3
    assert np.array_equal(left.data, np.delete(weights.data, places))
    gone = (weights - left).tocoo()
    user = np.repeat(np.arange(20), np.diff(weights.indptr))
    assert sorted(zip(gone.row, gone.col, strict=True)) == sorted(
        zip(user[places], weights.indices[places], strict=True)
    )


# Early stop


def test_training_stops_when_the_holdout_has_no_more_to_gain():
    """Long before 200 sweeps, and the best NDCG is told."""
    heard = []
    fitted = Als(n_factors=4, iterations=200, n_held_out=100).fit(
        some_weights(), n_threads=1, on_step=lambda: heard.append(1)
    )
    assert len(heard) < 100
    assert fitted.about["iterations"] == len(heard) + 1  # and one over everything
    assert 0 < fitted.about["holdout_ndcg"] <= 1


def test_without_a_holdout_all_sweeps_are_made():
    """The twin: nothing stops it."""
    heard = []
    Als(n_factors=4, iterations=25).fit(
        some_weights(), n_threads=1, on_step=lambda: heard.append(1)
    )
    assert len(heard) == 25


@pytest.mark.parametrize("make", [lambda als: als, Auto])
def test_what_was_held_out_is_learned_in_the_end(make):
    """An item that one user alone has had, as their last: held out, and yet it has a vector."""
    weights = some_weights().tolil()
    weights.resize((200, 41))
    weights[7, 40] = 1
    weights = sp.csr_matrix(weights)
    at = np.where(weights.indices == 40, 200, np.arange(weights.nnz) % 100)
    held = hold_out(weights, at, 500, seed=42)
    assert held.item_rows[held.user_rows == 7].tolist() == [40]
    als = Als(n_factors=4, iterations=5, n_held_out=500)
    unseen = als.train(held.weights, None, n_threads=1)
    served = make(als).fit(weights, at=at, n_threads=1)
    assert np.linalg.norm(unseen.item_factors[40]) < 1e-3
    assert np.linalg.norm(served.item_factors[40, :4]) > 0.05


def test_a_rising_figure_is_no_plateau():
    """Two sweeps without a gain are."""
    weights = some_weights()
    held = hold_out(weights, None, 100, seed=1)
    watch = EarlyStopping(held, 1)
    good = Als(n_factors=4).train(held.weights, None, n_threads=1)
    poor = Model(np.ones_like(good.user_factors), -np.ones_like(good.item_factors))
    assert [watch(poor), watch(good), watch(good), watch(poor)] == [False, False, False, True]
    assert watch.n_seen == 4


# Warm start


def test_known_ids_keep_their_vectors_and_new_ones_begin_small():
    """Whatever rows they had and have."""
    old = np.arange(6, dtype=np.float32).reshape(3, 2) + 1
    start = carry_over(old, pa.array(["a", "b", "d"]), pa.array(["b", "c", "d", "e"]), seed=1)
    assert start.dtype == np.float32
    assert start[[0, 2]].tolist() == old[[1, 2]].tolist()
    assert (np.abs(start[[1, 3]]) <= 0.01).all()
    assert (start[[1, 3]] != 0).any()


def test_the_same_seed_gives_the_same_start():
    """And another one another."""
    args = np.ones((1, 8), np.float32), pa.array(["a"]), pa.array(["a", "b"])
    starts = [carry_over(*args, seed=seed).tobytes() for seed in (1, 1, 2)]
    assert starts[0] == starts[1] != starts[2]


def test_vectors_without_ids_are_refused():
    """They would end at the wrong item."""
    with pytest.raises(ValueError, match="2 vectors"):
        carry_over(np.ones((2, 3), np.float32), pa.array(["a"]), pa.array(["a"]), seed=1)


def test_a_warm_start_is_ahead_of_a_cold_one():
    """After one sweep it explains what users have better than one cold sweep does."""
    weights = some_weights()
    trained = Als(n_factors=4, iterations=15).fit(weights, n_threads=1)
    start = Model(trained.user_factors, trained.item_factors)
    before = start.user_factors.copy()
    met = weights.nonzero()

    def miss(model):
        return float(np.abs(1 - (model.user_factors @ model.item_factors.T)[met]).mean())

    warm = Als(n_factors=4, iterations=1, start=start).fit(weights, n_threads=1)
    cold = Als(n_factors=4, iterations=1).fit(weights, n_threads=1)
    assert miss(warm) < 0.95 * miss(cold)
    assert np.array_equal(start.user_factors, before)  # the parent's are not written to


def test_a_start_of_another_shape_is_refused():
    """Factors of other users would be trained on without a word."""
    weights = some_weights()
    start = Model(np.ones((3, 4), np.float32), np.ones((40, 4), np.float32))
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        Als(n_factors=4, start=start).fit(weights)


def test_a_start_that_is_not_finite_is_refused():
    """It would stay so for ever, from night to night."""
    weights = some_weights()
    start = Model(np.full((200, 4), np.nan, np.float32), np.ones((40, 4), np.float32))
    with pytest.raises(BatchError, match="user factors to start with"):
        Als(n_factors=4, start=start).fit(weights)


# Folding in


def test_folding_in_solves_the_equation_of_the_paper():
    """x = (Yᵀ C Y + λI)⁻¹ Yᵀ C p, computed here by NumPy in double precision."""
    rng = np.random.default_rng(2)
    items = rng.standard_normal((30, 5)).astype(np.float32)
    weights = sp.csr_matrix((rng.random((7, 30)) < 0.2) * rng.random((7, 30)), dtype=np.float32)
    found = solve_users(items, weights, regularization=0.7, alpha=3.0)
    for user in range(7):
        row = weights[user].toarray()[0]
        confidence = np.diag(1 + 3.0 * row.astype(np.float64))
        left = items.T @ confidence @ items + 0.7 * np.eye(5)
        wanted = np.linalg.solve(left, items.T @ confidence @ (row > 0))
        assert found[user] == pytest.approx(wanted, abs=1e-4)


# Popularity in the blend


def blended(fitted, weights, weight):
    return with_popularity(fitted, users_of_items(weights), weight * mean_top_score(fitted, 1))


def test_a_weight_of_0_leaves_the_lists_as_they_were():
    """And a huge one makes them the popular list."""
    weights = some_weights()
    als = Als(n_factors=4, iterations=5).fit(weights, n_threads=1)
    popular = Popularity().fit(weights).top_k(10).item_rows
    none = blended(als, weights, 0.0).top_k(10).item_rows
    much = blended(als, weights, 1e5).top_k(10).item_rows
    assert np.array_equal(none, als.top_k(10).item_rows)
    n_users = np.bincount(weights.indices)
    assert np.array_equal(n_users[much], n_users[popular])  # ties are the taste's to break
    assert (n_users[none] == n_users[popular]).mean() < 0.6


def test_the_blend_keeps_the_taste_in_its_first_columns():
    """So neighbours and the next warm start find ALS's own factors there."""
    weights = some_weights()
    als = Als(n_factors=4, iterations=5).fit(weights, n_threads=1)
    blend = blended(als, weights, 0.5)
    assert np.array_equal(blend.item_factors[:, :4], als.item_factors)
    assert np.array_equal(blend.user_factors[:, :4], als.user_factors)


def test_strangers_gain_from_popularity_as_the_known_do():
    """Folded in, their lists are as popular as the weight wants them."""
    weights = some_weights()
    als = Als(n_factors=4, iterations=5).fit(weights, n_threads=1)
    strangers = weights[:20]
    lists = blended(als, weights, 1e5).fold_in(strangers).top_k(10).item_rows
    popular = Popularity().fit(weights).fold_in(strangers).top_k(10).item_rows
    n_users = np.bincount(weights.indices)
    assert np.array_equal(n_users[lists], n_users[popular])


def test_where_views_have_no_taste_popularity_is_chosen():
    """Items drawn for everybody alike: no list beats the popular one, and auto's does not try."""
    rng = np.random.default_rng(4)
    share = 1 / np.arange(1, 301) ** 1.1
    has = sp.lil_matrix((3000, 300), dtype=np.float32)
    for user in range(3000):
        has[user, rng.choice(300, 3, replace=False, p=share / share.sum())] = 1
    fitted = Auto(Als(n_factors=16, iterations=8, n_held_out=2000)).fit(
        sp.csr_matrix(has), n_threads=1
    )
    assert fitted.about["popularity_weight"] >= 3


def test_where_taste_is_all_it_is_left_alone():
    """Two groups that share nothing: popularity would only lead astray."""
    rng = np.random.default_rng(4)
    has = np.zeros((400, 400), np.float32)
    for user in range(400):
        has[user, 200 * (user % 2) + rng.choice(200, 30, replace=False)] = 1
    als = Als(n_factors=4, regularization=0.2, iterations=8, n_held_out=300)
    fitted = Auto(als).fit(sp.csr_matrix(has), n_threads=1)
    assert fitted.about["popularity_weight"] <= 0.4


def test_the_weight_with_the_best_holdout_is_chosen():
    """None other is better, and none that is less is as good."""
    held = hold_out(some_weights(), None, 150, seed=1)
    trial = Als(n_factors=4, iterations=6).fit(held.weights, n_threads=1)
    weight, ndcg = choose_weight(trial, held, 1)
    found = {
        w: held.ndcg(blended(trial, held.weights, w).top_k(20, user_rows=held.user_rows)).mean()
        for w in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)
    }
    assert ndcg == found[weight] == max(found.values())
    assert all(other < ndcg for w, other in found.items() if w < weight)
    assert weight > 0  # these data leave something to choose


def test_auto_is_als_where_nothing_can_be_held_out():
    """Users of one item each: no choice can be made, and none is."""
    one_each = sp.csr_matrix(np.tile(np.eye(10, dtype=np.float32), (3, 1)))
    fitted = Auto(Als(n_factors=3, iterations=2, n_held_out=100)).fit(one_each, n_threads=1)
    assert fitted.about["popularity_weight"] == 0


# Sparse top-k and short lists


@given(seed=st.integers(0, 10**6), k=st.integers(1, 12))
def test_sparse_top_k_is_a_full_sort(seed, k):
    """Against sorting each row: score, then item row; nothing seen, nothing at 0 or below."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-1, 4, (6, 10)) * (rng.random((6, 10)) < 0.6)
    scores = sp.csr_matrix(dense, dtype=np.float32)
    seen = sp.csr_matrix((rng.random((6, 10)) < 0.3).astype(np.float32))
    found = sparse_top_k(scores, seen, k)
    for user in range(6):
        row, had = dense[user], seen[user].toarray()[0] > 0
        is_open = (row > 0) & ~had
        order = sorted(np.flatnonzero(is_open).tolist(), key=lambda item: (-row[item], item))
        expected = order[:k] + [NO_ITEM] * (k - len(order[:k]))
        assert found.item_rows[user].tolist() == expected
        assert found.scores[user][: len(order[:k])].tolist() == [row[i] for i in order[:k]]


def test_short_lists_are_filled_and_full_ones_left_alone():
    """In the others' order, nothing twice, with a score of 0."""
    own = TopK(np.array([[5, NO_ITEM, NO_ITEM], [1, 2, 3]], np.int32),
               np.array([[2, -np.inf, -np.inf], [3, 2, 1]], np.float32))  # fmt: skip
    other = TopK(np.array([[5, 7, 6], [9, 8, 7]], np.int32), np.ones((2, 3), np.float32))
    both = filled(own, other)
    assert both.item_rows.tolist() == [[5, 7, 6], [1, 2, 3]]
    assert both.scores.tolist() == [[2, 0, 0], [3, 2, 1]]
