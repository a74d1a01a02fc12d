"""The peers of the benchmark of the second stage: their examples and lists."""

import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from batch.interactions.build import Interactions, Ratings
from batch.records.profiles import Profile
from batch.unavailable import Unavailable
from benchmarks.harness.data_sets import Service
from benchmarks.second_stage.content import Content, training_examples
from benchmarks.second_stage.peers import PEERS, lists_of, make_classifier
from tests.batch.made_periods import metadata_of, unrelated

N_USERS = 60


@pytest.fixture
def service() -> Service:
    weights = unrelated(N_USERS).weights
    none = Ratings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 5.0)
    user_ids, item_ids = (pa.array([str(row) for row in range(n)]) for n in weights.shape)
    interactions = Interactions(user_ids, item_ids, weights, none, Counter(), 0)
    return Service("made", interactions, {}, {"3": Profile(30, "F", "writer")})


def test_examples_are_the_items_of_users_and_others(service):
    """Half of the pairs that users have are positives; the others are fewer than four for each."""
    weights = service.interactions.weights
    features, has_item = training_examples(service, metadata_of(N_USERS), weights, seed=1)
    assert has_item.sum() == weights.nnz // 2
    assert has_item.sum() < (~has_item).sum() <= 4 * has_item.sum()
    assert len(features) == len(has_item)
    assert np.isfinite(features).all()


def test_lists_have_the_highest_probability_and_no_item_that_the_user_has(service):
    weights = service.interactions.weights
    content = Content.of(service, metadata_of(N_USERS), weights)

    class ByRow:
        """Gives an item the higher a probability, the lower its row is."""

        def predict_proba(self, pairs):
            score = -np.tile(np.arange(weights.shape[1]), len(pairs) // weights.shape[1])
            return np.stack((score, score), axis=1).astype(np.float32)

    rows = np.array([5, 2])
    found = lists_of(ByRow(), content, weights, rows, 10)
    for row, listed in zip(rows, found.tolist(), strict=True):
        has = set(weights[[row]].indices.tolist())
        assert listed == [item for item in range(200) if item not in has][:10]


@pytest.mark.parametrize("name", PEERS)
def test_missing_peer_is_skipped_with_its_package(name, monkeypatch):
    for package in ("xgboost", "sklearn.linear_model", "sklearn.neural_network"):
        monkeypatch.setitem(sys.modules, package, None)
    found = make_classifier(name, 1)
    assert isinstance(found, Unavailable)
    assert found.reason.endswith("is not installed")
