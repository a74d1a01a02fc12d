"""Implicit features: leading singular vectors, compared with a full decomposition."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.ratings.implicit_features import find_implicit_features

N_DIRECTIONS = 5


def all_users(ratings):
    return np.ones(ratings.shape[0], dtype=bool)


@pytest.fixture
def is_rated():
    """Four groups of users with their own items, of very different activity."""
    rng = np.random.default_rng(2)
    group, own = rng.integers(0, 4, 300), np.arange(80) % 4
    share = np.where(group[:, None] == own, 0.5, 0.03) * rng.uniform(0.1, 1, (300, 1))
    found = sp.csr_matrix((rng.random((300, 80)) < share).astype(np.float64))
    return found[found.getnnz(axis=1) > 0]


def test_directions_span_the_leading_singular_vectors(is_rated):
    """Of the matrix scaled by the roots of both counts."""
    dense = is_rated.toarray()
    counts = np.sqrt(dense.sum(axis=1, keepdims=True)), np.sqrt(dense.sum(axis=0))
    users, _, items = np.linalg.svd(dense / np.maximum(counts[0], 1) / np.maximum(counts[1], 1))
    features = find_implicit_features(is_rated, all_users(is_rated), N_DIRECTIONS, seed=1)
    for found, exact in ((features.users, users), (features.items, items.T)):
        basis = np.linalg.qr(found[:, :N_DIRECTIONS]).Q
        main = exact[:, :4]  # the groups; the others are noise of equal size
        assert np.linalg.norm(basis.T @ main, axis=0) == pytest.approx(np.ones(4), abs=0.01)


def test_features_are_of_unit_size(is_rated):
    for features in find_implicit_features(is_rated, all_users(is_rated), N_DIRECTIONS, seed=1):
        size = np.sqrt(np.mean(features[:, :N_DIRECTIONS] ** 2, axis=0))
        assert size == pytest.approx(np.ones(N_DIRECTIONS))


def test_last_features_are_a_constant_and_the_centred_log_count(is_rated):
    features = find_implicit_features(is_rated, all_users(is_rated), N_DIRECTIONS, seed=1)
    for side, axis in zip(features, (1, 0), strict=True):
        logs = np.log1p(is_rated.getnnz(axis=axis))
        assert (side[:, -2] == 1).all()
        assert side[:, -1] == pytest.approx(logs - logs.mean())


def test_there_are_no_more_directions_than_users_or_items():
    """With 0 directions only the two count features are left."""
    few = sp.csr_matrix(np.ones((2, 30)))
    assert find_implicit_features(few, all_users(few), 60, seed=1).items.shape == (30, 2 + 2)
    assert find_implicit_features(few, all_users(few), 0, seed=1).users.shape == (2, 2)


def test_half_of_the_users_give_nearly_the_same_directions(is_rated):
    half = np.arange(is_rated.shape[0]) % 2 == 0
    users, items = find_implicit_features(is_rated, half, N_DIRECTIONS, seed=1)
    whole = find_implicit_features(is_rated, all_users(is_rated), N_DIRECTIONS, seed=1)
    assert users.shape == whole.users.shape
    for found, full in ((users, whole.users), (items, whole.items)):
        basis = np.linalg.qr(full[:, :N_DIRECTIONS]).Q
        sampled = np.linalg.qr(found[:, :N_DIRECTIONS]).Q
        assert np.linalg.norm(basis.T @ sampled, axis=0)[:3] == pytest.approx(np.ones(3), abs=0.1)
