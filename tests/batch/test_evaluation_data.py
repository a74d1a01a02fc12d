"""What a split may know: nothing of what came later, and of a sample all that it had."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from batch.evaluation.data import Data, split_data, weights_of
from batch.interactions.weights import DEFAULT_WEIGHTING, Evidence
from batch.models.holdout import entries_of
from batch.tuning.nested import nest

N_USERS, N_ITEMS, DAY = 80, 30, 86_400
AGING = replace(DEFAULT_WEIGHTING, half_life_days=10.0)


@pytest.fixture
def data():
    """Users of 8 items each over 100 days, some of which were watched again later."""
    rng = np.random.default_rng(2)
    rows = np.repeat(np.arange(N_USERS), 8)
    items = np.concatenate([rng.permutation(N_ITEMS)[:8] for _ in range(N_USERS)])
    numbers = sp.csr_matrix((np.arange(640) + 1, (rows, items)), shape=(N_USERS, N_ITEMS))
    numbers.sort_indices()
    numbers.data = np.arange(640)
    at = rng.integers(1, 100 * DAY, 640)
    last_at = at + rng.integers(0, 50 * DAY, 640) * (rng.random(640) < 0.3)
    evidence = Evidence(
        rng.random(640, np.float32), rng.integers(0, 6, 640).astype(np.float32), 5.0, last_at
    )
    return Data(numbers, evidence, at, [str(row) for row in range(N_USERS)], {})


def test_a_weight_knows_nothing_of_what_came_later(data):
    """Whatever happens after the split, what is learned from weighs the same."""
    split = split_data("time", data, 42)
    before = weights_of(split, data, AGING)
    cut = split.at.max()
    later = np.where(data.evidence.last_at > cut, data.evidence.last_at + 900 * DAY, 0)
    moved = replace(data.evidence, last_at=np.maximum(data.evidence.last_at, later))
    after = weights_of(split, replace(data, evidence=moved), AGING)
    assert (moved.last_at != data.evidence.last_at).any()
    assert np.array_equal(before, after)


def test_the_newest_of_the_training_side_is_of_no_age(data):
    """As it would have been on that day."""
    split = split_data("time", data, 42)
    newest = split.train.data[split.at.argmax()]
    aged, usual = (weights_of(split, data, how)[newest] for how in (AGING, DEFAULT_WEIGHTING))
    assert aged == pytest.approx(usual)


@pytest.mark.parametrize("name", ["time", "last-out", "fold-in"])
def test_what_is_judged_by_weighs_nothing(data, name):
    """A model cannot know it by mistake."""
    split = split_data(name, data, 42)
    weights = weights_of(split, data, DEFAULT_WEIGHTING)
    assert (weights[split.test.data] == 0).all()
    assert (weights[split.train.data] > 0).all()
    assert (split.weighed(weights).given.data > 0).all()


@pytest.mark.parametrize("name", ["time", "last-out", "fold-in"])
def test_trials_never_see_what_the_test_side_judges_by(data, name):
    """Neither to learn from nor to choose by."""
    nested = nest(name, data, 42)
    inner = np.concatenate((nested.inner.train.data, nested.inner.test.data))
    assert not set(inner.tolist()) & set(nested.outer.test.data.tolist())
    assert not set(nested.inner.train.data.tolist()) & set(nested.inner.test.data.tolist())


def test_a_sample_is_whole_users(data):
    """With what belongs to each of their interactions."""
    sample = data.sample(20, 1)
    rows = [int(user_id) for user_id in sample.user_ids]
    places = entries_of(data.numbers, np.array(rows))
    assert sorted(set(rows)) == rows
    assert sample.numbers.shape == (20, N_ITEMS)
    assert np.array_equal(sample.numbers.data, np.arange(160))
    assert np.array_equal(sample.numbers.indices, data.numbers[rows].indices)
    assert np.array_equal(sample.at, data.at[places])
    assert np.array_equal(sample.evidence.rating, data.evidence.rating[places])


def test_a_sample_of_all_is_all(data):
    """However many are asked for."""
    assert data.sample(N_USERS, 1) is data
    assert data.sample(10**9, 1) is data
