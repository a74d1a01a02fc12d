"""Implicit features: the main directions of who rates what, against a full decomposition."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.ratings.implicit_features import find_implicit_features

N_TASTES = 5


def everybody(ratings):
    return np.ones(ratings.shape[0], dtype=bool)


@pytest.fixture
def is_rated():
    """Four groups of users of very different sizes and activity, each mostly among its films."""
    rng = np.random.default_rng(2)
    group, own = rng.integers(0, 4, 300), np.arange(80) % 4
    share = np.where(group[:, None] == own, 0.5, 0.03) * rng.uniform(0.1, 1, (300, 1))
    found = sp.csr_matrix((rng.random((300, 80)) < share).astype(np.float64))
    return found[found.getnnz(axis=1) > 0]


def test_tastes_are_the_main_singular_vectors(is_rated):
    """Of the matrix scaled by the roots of both counts: they lie in what was found."""
    dense = is_rated.toarray()
    counts = np.sqrt(dense.sum(axis=1, keepdims=True)), np.sqrt(dense.sum(axis=0))
    users, _, items = np.linalg.svd(dense / np.maximum(counts[0], 1) / np.maximum(counts[1], 1))
    tastes = find_implicit_features(is_rated, everybody(is_rated), N_TASTES, seed=1)
    for found, exact in ((tastes.users, users), (tastes.items, items.T)):
        basis = np.linalg.qr(found[:, :N_TASTES]).Q
        main = exact[:, :4]  # the groups; what comes after is chance, one as large as the next
        assert np.linalg.norm(basis.T @ main, axis=0) == pytest.approx(np.ones(4), abs=0.01)


def test_features_are_of_unit_size(is_rated):
    """So that one ridge suits all of them."""
    for features in find_implicit_features(is_rated, everybody(is_rated), N_TASTES, seed=1):
        size = np.sqrt(np.mean(features[:, :N_TASTES] ** 2, axis=0))
        assert size == pytest.approx(np.ones(N_TASTES))


def test_last_features_are_a_one_and_the_log_of_the_count(is_rated):
    """The log about its mean, so that the one stands for the average."""
    tastes = find_implicit_features(is_rated, everybody(is_rated), N_TASTES, seed=1)
    for features, axis in zip(tastes, (1, 0), strict=True):
        logs = np.log1p(is_rated.getnnz(axis=axis))
        assert (features[:, -2] == 1).all()
        assert features[:, -1] == pytest.approx(logs - logs.mean())


def test_there_are_no_more_than_users_or_items():
    """Two users have at most two tastes, and without any the counts are left."""
    few = sp.csr_matrix(np.ones((2, 30)))
    assert find_implicit_features(few, everybody(few), 60, seed=1).items.shape == (30, 2 + 2)
    assert find_implicit_features(few, everybody(few), 0, seed=1).users.shape == (2, 2)


def test_some_users_find_the_tastes_of_all(is_rated):
    """Half of them find directions that describe everybody nearly as well."""
    half = np.arange(is_rated.shape[0]) % 2 == 0
    users, items = find_implicit_features(is_rated, half, N_TASTES, seed=1)
    whole = find_implicit_features(is_rated, everybody(is_rated), N_TASTES, seed=1)
    assert users.shape == whole.users.shape
    for found, full in ((users, whole.users), (items, whole.items)):
        basis = np.linalg.qr(full[:, :N_TASTES]).Q
        seen = np.linalg.qr(found[:, :N_TASTES]).Q
        assert np.linalg.norm(basis.T @ seen, axis=0)[:3] == pytest.approx(np.ones(3), abs=0.1)
