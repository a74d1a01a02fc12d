"""Weights of a split use no later event, and a sample has all interactions of its users."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from batch.evaluation.data import EvaluationData, split_data, weights_of
from batch.interactions.weights import DEFAULT_WEIGHTING, Evidence
from batch.models.dense_topk import entries_of
from batch.tuning.nested import nested_split

N_USERS, N_ITEMS, DAY = 80, 30, 86_400
AGING = replace(DEFAULT_WEIGHTING, half_life_days=10.0)


@pytest.fixture
def data():
    """Return users of 8 items each over 100 days, some of which were watched again later."""
    rng = np.random.default_rng(2)
    rows = np.repeat(np.arange(N_USERS), 8)
    items = np.concatenate([rng.permutation(N_ITEMS)[:8] for _ in range(N_USERS)])
    positions = sp.csr_matrix((np.arange(640) + 1, (rows, items)), shape=(N_USERS, N_ITEMS))
    positions.sort_indices()
    positions.data = np.arange(640)
    at = rng.integers(1, 100 * DAY, 640)
    last_at = at + rng.integers(0, 50 * DAY, 640) * (rng.random(640) < 0.3)
    evidence = Evidence(
        rng.random(640, np.float32), rng.integers(0, 6, 640).astype(np.float32), 5.0, last_at
    )
    return EvaluationData(positions, evidence, at, [str(row) for row in range(N_USERS)], {})


def test_later_events_do_not_change_the_weights(data):
    split = split_data("time", data, 42)
    before = weights_of(split, data, AGING)
    assert split.at is not None
    cutoff = split.at.max()
    later = np.where(data.evidence.last_at > cutoff, data.evidence.last_at + 900 * DAY, 0)
    moved = replace(data.evidence, last_at=np.maximum(data.evidence.last_at, later))
    after = weights_of(split, replace(data, evidence=moved), AGING)
    assert (moved.last_at != data.evidence.last_at).any()
    assert np.array_equal(before, after)


def test_newest_training_interaction_has_age_0(data):
    split = split_data("time", data, 42)
    assert split.at is not None
    newest = split.train.data[split.at.argmax()]
    aged, unaged = (
        weights_of(split, data, scheme)[newest] for scheme in (AGING, DEFAULT_WEIGHTING)
    )
    assert aged == pytest.approx(unaged)


@pytest.mark.parametrize("name", ["time", "leave-last-out", "fold-in"])
def test_test_interactions_have_weight_0(data, name):
    split = split_data(name, data, 42)
    weights = weights_of(split, data, DEFAULT_WEIGHTING)
    assert (weights[split.test.data] == 0).all()
    assert (weights[split.train.data] > 0).all()
    assert (split.weighted(weights).fold_in.data > 0).all()


@pytest.mark.parametrize("name", ["time", "leave-last-out", "fold-in"])
def test_no_trial_uses_the_test_set(data, name):
    """Neither for training nor for validation."""
    nested = nested_split(name, data, 42)
    inner = np.concatenate((nested.inner.train.data, nested.inner.test.data))
    assert not set(inner.tolist()) & set(nested.outer.test.data.tolist())
    assert not set(nested.inner.train.data.tolist()) & set(nested.inner.test.data.tolist())


def test_sample_has_all_interactions_of_its_users(data):
    """With their times and evidence."""
    sample = data.sample(20, 1)
    rows = [int(user_id) for user_id in sample.user_ids]
    entries = entries_of(data.positions, np.array(rows))
    assert sorted(set(rows)) == rows
    assert sample.positions.shape == (20, N_ITEMS)
    assert np.array_equal(sample.positions.data, np.arange(160))
    assert np.array_equal(sample.positions.indices, data.positions[rows].indices)
    assert np.array_equal(sample.at, data.at[entries])
    assert np.array_equal(sample.evidence.rating, data.evidence.rating[entries])


def test_sample_of_all_users_is_the_data_itself(data):
    assert data.sample(N_USERS, 1) is data
    assert data.sample(10**9, 1) is data
