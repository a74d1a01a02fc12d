"""The holdout inside of training, and early stopping on it."""

import numpy as np
import scipy.sparse as sp

from batch.models.als import Als
from batch.models.factors import Factors
from batch.models.holdout import EarlyStopping, hold_out, without
from batch.topk import NO_ITEM, TopK
from tests.batch.made_weights import some_weights


def test_one_item_of_each_chosen_user_is_held_out():
    """They have 2 or more items; all other entries are unchanged."""
    weights = some_weights()
    held = hold_out(weights, None, 50, seed=3)
    gone = sp.csr_matrix(weights - held.weights).tocoo()
    assert len(held.user_rows) == 50
    assert np.array_equal(gone.row[np.argsort(gone.row)], held.user_rows)
    assert dict(zip(gone.row, gone.col, strict=True)) == dict(
        zip(held.user_rows, held.item_rows, strict=True)
    )
    assert (np.diff(held.weights.indptr)[held.user_rows] >= 1).all()


def test_the_latest_item_is_held_out_where_times_are_known():
    """Of each user the item with the latest time."""
    weights = some_weights()
    at = np.random.default_rng(0).permutation(weights.nnz)
    held = hold_out(weights, at, 10**6, seed=3)
    for user, item in zip(held.user_rows, held.item_rows, strict=True):
        row = slice(weights.indptr[user], weights.indptr[user + 1])
        assert weights.indices[row][np.argmax(at[row])] == item


def test_users_of_a_single_item_keep_it():
    """Otherwise they would have no item to train on."""
    weights = sp.csr_matrix(np.eye(6, dtype=np.float32))
    held = hold_out(weights, None, 100, seed=0)
    assert len(held.user_rows) == 0
    assert (held.weights.toarray() == weights.toarray()).all()


def test_ndcg_of_a_holdout_has_one_relevant_item():
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


def test_without_drops_the_entries_at_the_positions():
    """Positions are those of `data`."""
    weights = some_weights(20, 10)
    places = np.array([0, 5, weights.nnz - 1])
    left = without(weights, places)
    assert left.nnz == weights.nnz - 3
    assert np.array_equal(left.data, np.delete(weights.data, places))
    gone = sp.csr_matrix(weights - left).tocoo()
    user = np.repeat(np.arange(20), np.diff(weights.indptr))
    assert sorted(zip(gone.row, gone.col, strict=True)) == sorted(
        zip(user[places], weights.indices[places], strict=True)
    )


# Early stopping


def test_training_stops_when_the_holdout_gains_no_more():
    """Long before 200 sweeps; the model has the best NDCG in `about`."""
    calls: list[int] = []
    fitted = Als(n_factors=4, iterations=200, n_held_out=100).fit(
        some_weights(), n_threads=1, on_step=lambda _=None: calls.append(1)
    )
    assert len(calls) < 100
    assert fitted.about["iterations"] == len(calls) + 1  # the last one over everything
    assert 0 < fitted.about["holdout_ndcg"] <= 1


def test_without_a_holdout_all_sweeps_are_made():
    """The control of the test above."""
    calls: list[int] = []
    Als(n_factors=4, iterations=25).fit(
        some_weights(), n_threads=1, on_step=lambda _=None: calls.append(1)
    )
    assert len(calls) == 25


def test_the_last_sweep_includes_the_holdout():
    """The only interaction of an item is held out, and yet the item has a vector."""
    wider = np.zeros((200, 41), np.float32)
    wider[:, :40] = some_weights().toarray()
    wider[7, 40] = 1
    weights = sp.csr_matrix(wider)
    at = np.where(weights.indices == 40, 200, np.arange(weights.nnz) % 100)
    held = hold_out(weights, at, 500, seed=42)
    assert held.item_rows[held.user_rows == 7].tolist() == [40]
    als = Als(n_factors=4, iterations=5, n_held_out=500)
    unseen = als.train(held.weights, None, n_threads=1)
    served = als.fit(weights, at=at, n_threads=1)
    assert np.linalg.norm(unseen.item_factors[40]) < 1e-3
    assert np.linalg.norm(served.item_factors[40]) > 0.05


def test_training_stops_after_two_sweeps_without_a_gain():
    """A sweep with a gain resets the count."""
    weights = some_weights()
    held = hold_out(weights, None, 100, seed=1)
    stopping = EarlyStopping(held, 1)
    good = Als(n_factors=4).train(held.weights, None, n_threads=1)
    poor = Factors(np.ones_like(good.user_factors), -np.ones_like(good.item_factors))
    assert [stopping(poor), stopping(good), stopping(good), stopping(poor)] == [
        False,
        False,
        False,
        True,
    ]
    assert stopping.n_seen == 4
