"""Half a sweep against least squares: the same equations, solved by somebody else.

An uncertain vector is replaced by points that have exactly its mean and covariance;
each equation then stands there once for each point, and `lstsq` knows nothing of
expectations.
"""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.ratings.prior import Prior, Sums, learn_prior
from batch.ratings.users import Users, update_users
from batch.ratings.vectors import Vectors, accumulate, moments, solve, unexplained

N_USERS, N_ITEMS, WIDTH, N_TASTES, NOISE = 7, 6, 4, 2, 0.6


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def uncertain(rng, n_rows):
    root = rng.normal(0, 0.4, (n_rows, WIDTH, WIDTH))
    return Vectors(rng.normal(0, 1, (n_rows, WIDTH)), root @ root.transpose(0, 2, 1))


def certain(rng, n_rows):
    return Vectors(rng.normal(0, 1, (n_rows, WIDTH)), np.zeros((n_rows, WIDTH, WIDTH)))


def points(mean, covariance):
    """Return 2 · width points of equal weight with that mean and covariance."""
    values, axes = np.linalg.eigh(covariance)
    steps = axes * np.sqrt(np.maximum(values, 0) * len(mean))
    return np.concatenate((mean + steps.T, mean - steps.T))


@pytest.fixture
def table(rng):
    """Some ratings about 0; user 6 has none."""
    rating = rng.normal(0, 1, (N_USERS, N_ITEMS)) * (rng.random((N_USERS, N_ITEMS)) < 0.7)
    rating[6] = 0
    rating = sp.csr_matrix(rating)
    return sp.csr_matrix((np.ones(rating.nnz), rating.indices, rating.indptr), rating.shape), rating


@pytest.fixture
def prior(rng):
    return Prior(rng.normal(0, 1, (N_TASTES, WIDTH)), rng.uniform(0.1, 2, WIDTH))


def equations(rating, user, items, prior, tastes):
    """The weighted rows and targets of one user's least squares."""
    rows, targets = [], []
    for item in rating[user].indices:
        for point in points(items.mean[item], items.covariance[item]):
            weight = 1 / np.sqrt(NOISE * 2 * WIDTH)
            rows.append(weight * np.array([1, *point[1:]]))
            targets.append(weight * (rating[user, item] - point[0]))
    spread = np.sqrt(prior.variance)
    rows += list(np.diag(1 / spread))
    targets += list(tastes[user] @ prior.weights / spread)
    return np.array(rows), np.array(targets)


@pytest.mark.parametrize("believed", [certain, uncertain])
def test_solution_is_that_of_least_squares(rng, table, prior, believed):
    """Each user's vector is `lstsq`'s, and its covariance the inverse of the normal matrix."""
    is_rated, rating = table
    items, tastes = believed(rng, N_ITEMS), rng.normal(0, 1, (N_USERS, N_TASTES))
    found = solve(accumulate(is_rated, rating, moments(items)), tastes, prior, NOISE)
    for user in range(N_USERS):
        rows, targets = equations(rating, user, items, prior, tastes)
        assert found.mean[user] == pytest.approx(np.linalg.lstsq(rows, targets)[0])
        assert found.covariance[user] == pytest.approx(np.linalg.inv(rows.T @ rows))


def test_without_ratings_the_prior_stays(rng, table, prior):
    """User 6 is where the tastes say, as widely as the prior says."""
    tastes = rng.normal(0, 1, (N_USERS, N_TASTES))
    found = solve(accumulate(*table, moments(certain(rng, N_ITEMS))), tastes, prior, NOISE)
    assert found.mean[6] == pytest.approx(tastes[6] @ prior.weights)
    assert found.covariance[6] == pytest.approx(np.diag(prior.variance))


@pytest.mark.parametrize("believed", [certain, uncertain])
def test_unexplained_is_the_expected_sum_of_squares(rng, table, believed):
    """Summed over every pair of a user's and an item's points, rating by rating."""
    is_rated, rating = table
    users, items = believed(rng, N_USERS), believed(rng, N_ITEMS)
    expected = rest = 0.0
    for user, item in zip(*rating.nonzero(), strict=True):
        of_user = points(users.mean[user], users.covariance[user])
        of_item = points(items.mean[item], items.covariance[item])
        both = of_user[:, None, 1:] * of_item[None, :, 1:]
        said = of_user[:, None, 0] + of_item[None, :, 0] + both.sum(axis=2)
        expected += np.mean((rating[user, item] - said) ** 2)
        rest += np.mean((rating[user, item] - of_user[:, 0]) ** 2)
    evidence = accumulate(is_rated.T, rating.T, moments(users))
    assert unexplained(evidence, items, rest) == pytest.approx(expected)


def test_users_tell_what_their_own_halves_would(rng, table, prior, monkeypatch):
    """Two chunks of users together: vectors, evidence, and what their biases leave."""
    monkeypatch.setattr("batch.ratings.users._CHUNK", 4)
    is_rated, rating = table
    tastes, told = rng.normal(0, 1, (N_USERS, N_TASTES)), moments(uncertain(rng, N_ITEMS))
    users = solve(accumulate(is_rated, rating, told), tastes, prior, NOISE)
    mean, heard = update_users(Users(rating, tastes), told, prior, NOISE, n_threads=2)
    evidence = accumulate(is_rated.T, rating.T, moments(users))
    rest = sum(
        np.mean((rating[user, item] - points(users.mean[user], users.covariance[user])[:, 0]) ** 2)
        for user, item in zip(*rating.nonzero(), strict=True)
    )
    assert mean == pytest.approx(users.mean)
    assert heard.squares == pytest.approx(evidence.squares)
    assert heard.pull == pytest.approx(evidence.pull)
    assert heard.rest == pytest.approx(rest)
    for told_of, whole in zip(heard.sums, Sums.of(tastes, *users), strict=True):
        assert told_of == pytest.approx(whole)


def test_prior_is_the_regression_of_the_vectors_on_the_tastes(rng):
    """With its small ridge, and the variance about it."""
    vectors, tastes = uncertain(rng, 500), rng.normal(0, 1, (500, N_TASTES))
    vectors.mean[:] += tastes @ rng.normal(0, 2, (N_TASTES, WIDTH))
    sums = Sums.of(tastes, *vectors)
    rows = np.concatenate((tastes, np.sqrt(20) * np.eye(N_TASTES)))
    weights = np.linalg.lstsq(rows, np.concatenate((vectors.mean, np.zeros((N_TASTES, WIDTH)))))[0]
    spread = np.diagonal(vectors.covariance, axis1=1, axis2=2).mean(axis=0)
    learned = learn_prior(sums)
    assert learned.weights == pytest.approx(weights)
    assert learned.variance == pytest.approx(
        np.mean((vectors.mean - tastes @ weights) ** 2, axis=0) + spread
    )


def test_sums_of_parts_add_up(rng):
    """The prior of all rows is that of two halves."""
    vectors, tastes = uncertain(rng, 50), rng.normal(0, 1, (50, N_TASTES))
    halves = [
        Sums.of(tastes[part], *(values[part] for values in vectors))
        for part in (slice(20), slice(20, None))
    ]
    for mine, whole in zip(halves[0].plus(halves[1]), Sums.of(tastes, *vectors), strict=True):
        assert mine == pytest.approx(whole)
