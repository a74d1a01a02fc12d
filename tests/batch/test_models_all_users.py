"""Sweeps over users who are elsewhere: items solve their own equations, by sums over parts."""

import contextlib
import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models.all_users import SolvedUsers, joined, pieces_of, total_of, train_on_all
from batch.models.als import Als
from batch.models.ials import Ials
from tests.batch.made_weights import some_weights

IALS = Ials(n_factors=2, regularization=0.01, unobserved_weight=0.2, iterations=2, seed=1)
ALS = Als(n_factors=2, regularization=0.5, iterations=2, seed=1)
N_SAMPLED = 20


class Parts:
    """All users in this process, a part at a time."""

    def __init__(self, weights, n_parts=3):
        self.n_users = weights.shape[0]
        edges = np.linspace(0, self.n_users, n_parts + 1).astype(int)
        self.weights = [weights[first:end] for first, end in itertools.pairwise(edges)]

    @contextlib.contextmanager
    def solved(self, solve):
        self.parts = [SolvedUsers.of(weights, solve) for weights in self.weights]
        yield self

    def total(self, of_part, shapes):
        (total,) = total_of(of_part(part) for part in self.parts)
        assert [one.shape for one in total] == list(shapes)
        return joined(pieces_of(total), shapes)


@pytest.fixture
def weights():
    """Two groups of users, with weights between 0.5 and 2, and an item without users."""
    made = some_weights()
    made.data = np.random.default_rng(2).uniform(0.5, 2, made.nnz).astype(np.float32)
    return sp.csr_matrix((made.data, made.indices, made.indptr), (made.shape[0], made.shape[1] + 1))


def swept(model, weights, iterations=1, n_parts=3):
    fitted = model.fit(weights[:N_SAMPLED])
    return fitted, *train_on_all(model, fitted, Parts(weights, n_parts), iterations)


def plain_items(user_factors, weights, unobserved_weight, offset, penalty):
    """Return items' factors by their normal equations, one dense solution an item."""
    users, dense = user_factors.astype(np.float64), weights.toarray().astype(np.float64)
    gram = unobserved_weight * users.T @ users
    return np.array([
        np.linalg.solve(
            (users.T * column) @ users + gram + one * np.eye(users.shape[1]),
            users.T @ (column + offset * (column > 0)),
        )
        for column, one in zip(dense.T, penalty, strict=True)
    ])  # fmt: skip


def test_a_sweep_of_ials_solves_each_item(weights):
    """Two factors are solved exactly by two steps."""
    fitted, found, n_users_of = swept(IALS, weights)
    has = weights.toarray() > 0
    assert n_users_of.tolist() == has.sum(0).tolist()
    scaled = weights * np.float32(fitted.solve.scale)
    penalty = 0.01 * (has.sum(0) + 0.2 * len(has))
    items = plain_items(fitted.solve(weights), scaled, 0.2, 0.0, penalty)
    assert np.allclose(found.item_factors @ found.item_factors.T, items @ items.T, atol=1e-4)


def test_a_sweep_of_als_solves_each_item(weights):
    """With the regularization of all users, which is higher than that of the sample."""
    fitted, found, _ = swept(ALS, weights)
    n_users, n_items = weights.shape
    penalty = 0.5 * (np.sqrt(weights.nnz / n_users) + np.sqrt(weights.nnz / n_items))
    assert fitted.solve.penalty < found.solve.penalty == pytest.approx(penalty)
    items = plain_items(fitted.solve(weights), 2 * weights, 1.0, 1.0, np.full(n_items, penalty))
    assert np.allclose(found.item_factors @ found.item_factors.T, items @ items.T, atol=1e-4)


@pytest.mark.parametrize("model", [ALS, IALS])
def test_an_item_without_users_has_no_vector(weights, model):
    _, found, n_users_of = swept(model, weights)
    assert n_users_of[-1] == 0 < n_users_of[:-1].min()
    assert not found.item_factors[-1].any()


@pytest.mark.parametrize("model", [ALS, IALS])
def test_many_sweeps_over_all_forget_the_sample(weights, model):
    """They end where training on all users ends, whatever sample they began with."""
    model = type(model)(n_factors=2, iterations=60, seed=1)
    of_all = model.fit(weights)
    _, found, _ = swept(model, weights, iterations=60)
    expected, scores = (one.solve(weights) @ one.item_factors[:-1].T for one in (of_all, found))
    assert np.abs(scores - expected).max() < 0.02 * np.abs(expected).max()


def test_the_users_of_the_sample_stay_and_are_folded_in(weights):
    fitted, found, _ = swept(IALS, weights, iterations=3)
    assert found.seen is fitted.seen
    assert np.array_equal(found.user_factors, found.solve(fitted.seen))
    assert found.about["iterations"] == fitted.about["iterations"] + 3


def test_how_users_are_divided_changes_rounding_alone(weights):
    _, one, _ = swept(IALS, weights, n_parts=1)
    _, many, _ = swept(IALS, weights, n_parts=7)
    assert np.allclose(one.item_factors, many.item_factors, atol=1e-5)


def test_weights_that_are_not_finite_are_refused(weights):
    fitted = IALS.fit(weights[:N_SAMPLED])
    weights.data[-1] = np.nan
    with pytest.raises(BatchError, match=r"1 of .* are NaN or infinite"):
        train_on_all(IALS, fitted, Parts(weights), 1)


def test_no_part_has_no_total():
    assert total_of([]) == []
