"""Half a sweep compared with ordinary least squares.

An uncertain vector is replaced by points with exactly its mean and covariance. Each
equation is repeated for each point, so that `lstsq` solves them without expectations.
"""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.ratings.prior import Prior, PriorStatistics, fit_prior
from batch.ratings.users import RatedUsers, update_users
from batch.ratings.vectors import Posterior, accumulate, expected_squared_error, moments, solve

N_USERS, N_ITEMS, WIDTH, N_FEATURES, NOISE = 7, 6, 4, 2, 0.6


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def uncertain(rng, n_rows):
    root = rng.normal(0, 0.4, (n_rows, WIDTH, WIDTH))
    return Posterior(rng.normal(0, 1, (n_rows, WIDTH)), root @ root.transpose(0, 2, 1))


def certain(rng, n_rows):
    return Posterior(rng.normal(0, 1, (n_rows, WIDTH)), np.zeros((n_rows, WIDTH, WIDTH)))


def points(mean, covariance):
    """Return 2 · width points of equal weight with that mean and covariance."""
    values, axes = np.linalg.eigh(covariance)
    steps = axes * np.sqrt(np.maximum(values, 0) * len(mean))
    return np.concatenate((mean + steps.T, mean - steps.T))


@pytest.fixture
def table(rng):
    """Return random ratings about 0; user 6 has none."""
    rating = rng.normal(0, 1, (N_USERS, N_ITEMS)) * (rng.random((N_USERS, N_ITEMS)) < 0.7)
    rating[6] = 0
    rating = sp.csr_matrix(rating)
    return sp.csr_matrix((np.ones(rating.nnz), rating.indices, rating.indptr), rating.shape), rating


@pytest.fixture
def prior(rng):
    return Prior(rng.normal(0, 1, (N_FEATURES, WIDTH)), rng.uniform(0.1, 2, WIDTH))


def equations(rating, user, items, prior, features):
    """Return the weighted rows and targets of one user's least squares."""
    rows, targets = [], []
    for item in rating[user].indices:
        for point in points(items.mean[item], items.covariance[item]):
            weight = 1 / np.sqrt(NOISE * 2 * WIDTH)
            rows.append(weight * np.array([1, *point[1:]]))
            targets.append(weight * (rating[user, item] - point[0]))
    spread = np.sqrt(prior.variance)
    rows += list(np.diag(1 / spread))
    targets += list(features[user] @ prior.weights / spread)
    return np.array(rows), np.array(targets)


@pytest.mark.parametrize("other_side", [certain, uncertain])
def test_posterior_is_the_least_squares_solution(rng, table, prior, other_side):
    """The mean is `lstsq`'s, the covariance the inverse of the normal matrix."""
    is_rated, rating = table
    items, features = other_side(rng, N_ITEMS), rng.normal(0, 1, (N_USERS, N_FEATURES))
    found = solve(accumulate(is_rated, rating, moments(items)), features, prior, NOISE)
    for user in range(N_USERS):
        rows, targets = equations(rating, user, items, prior, features)
        assert found.mean[user] == pytest.approx(np.linalg.lstsq(rows, targets)[0])
        assert found.covariance[user] == pytest.approx(np.linalg.inv(rows.T @ rows))


def test_posterior_without_ratings_is_the_prior(rng, table, prior):
    features = rng.normal(0, 1, (N_USERS, N_FEATURES))
    is_rated, rating = table
    equations = accumulate(is_rated, rating, moments(certain(rng, N_ITEMS)))
    found = solve(equations, features, prior, NOISE)
    assert found.mean[6] == pytest.approx(features[6] @ prior.weights)
    assert found.covariance[6] == pytest.approx(np.diag(prior.variance))


@pytest.mark.parametrize("other_side", [certain, uncertain])
def test_expected_squared_error_is_the_mean_over_all_points(rng, table, other_side):
    """Summed over every pair of a user's and an item's points, rating by rating."""
    is_rated, rating = table
    users, items = other_side(rng, N_USERS), other_side(rng, N_ITEMS)
    expected = total = 0.0
    for user, item in zip(*rating.nonzero(), strict=True):
        of_user = points(users.mean[user], users.covariance[user])
        of_item = points(items.mean[item], items.covariance[item])
        both = of_user[:, None, 1:] * of_item[None, :, 1:]
        predicted = of_user[:, None, 0] + of_item[None, :, 0] + both.sum(axis=2)
        expected += np.mean((rating[user, item] - predicted) ** 2)
        total += np.mean((rating[user, item] - of_user[:, 0]) ** 2)
    equations = accumulate(is_rated.T, rating.T, moments(users))
    assert expected_squared_error(equations, items, total) == pytest.approx(expected)


def test_chunks_add_up_to_the_statistics_of_all_users(rng, table, prior):
    """Two chunks: posterior means, the items' equations, total and prior statistics."""
    is_rated, rating = table
    features, items = rng.normal(0, 1, (N_USERS, N_FEATURES)), moments(uncertain(rng, N_ITEMS))
    users = solve(accumulate(is_rated, rating, items), features, prior, NOISE)
    mean, statistics = update_users(
        RatedUsers(rating, features), items, prior, NOISE, n_threads=2, users_per_chunk=4
    )
    equations = accumulate(is_rated.T, rating.T, moments(users))
    total = sum(
        np.mean((rating[user, item] - points(users.mean[user], users.covariance[user])[:, 0]) ** 2)
        for user, item in zip(*rating.nonzero(), strict=True)
    )
    assert mean == pytest.approx(users.mean)
    assert statistics.item_equations.precision == pytest.approx(equations.precision)
    assert statistics.item_equations.rhs == pytest.approx(equations.rhs)
    assert statistics.total == pytest.approx(total)
    for chunked, whole in zip(statistics.prior, PriorStatistics.of(features, *users), strict=True):
        assert chunked == pytest.approx(whole)


def test_prior_is_the_ridge_regression_on_the_features(rng):
    """Its variance is that of the residuals."""
    vectors, features = uncertain(rng, 500), rng.normal(0, 1, (500, N_FEATURES))
    vectors.mean[:] += features @ rng.normal(0, 2, (N_FEATURES, WIDTH))
    statistics = PriorStatistics.of(features, *vectors)
    rows = np.concatenate((features, np.sqrt(20) * np.eye(N_FEATURES)))
    weights = np.linalg.lstsq(rows, np.concatenate((vectors.mean, np.zeros((N_FEATURES, WIDTH)))))[
        0
    ]
    spread = np.diagonal(vectors.covariance, axis1=1, axis2=2).mean(axis=0)
    learned = fit_prior(statistics)
    assert learned.weights == pytest.approx(weights)
    assert learned.variance == pytest.approx(
        np.mean((vectors.mean - features @ weights) ** 2, axis=0) + spread
    )


def test_prior_statistics_of_parts_add_up(rng):
    vectors, features = uncertain(rng, 50), rng.normal(0, 1, (50, N_FEATURES))
    halves = [
        PriorStatistics.of(features[part], *(values[part] for values in vectors))
        for part in (slice(20), slice(20, None))
    ]
    for added, whole in zip(
        halves[0].plus(halves[1]), PriorStatistics.of(features, *vectors), strict=True
    ):
        assert added == pytest.approx(whole)
