"""iALS against plain formulas: its equations, its objective, its weights and its start."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models import ials_solver
from batch.models.factors import Factors
from batch.models.ials import Ials
from batch.models.ials_solver import Penalty, Side, solve_exactly, solve_side
from tests.batch.made_weights import some_weights

MODEL = Ials(n_factors=6, regularization=0.01, unobserved_weight=0.2, iterations=8, seed=1)
PENALTY = Penalty(0.01, 0.2, 1.0)


@pytest.fixture
def weights():
    """Two groups of users, with weights between 0.5 and 2."""
    made = some_weights()
    made.data = np.random.default_rng(2).uniform(0.5, 2, made.nnz).astype(np.float32)
    return made


def relative(weights):
    """Return the weights as training uses them: dense, their mean 1."""
    dense = weights.toarray().astype(np.float64)
    return dense / dense[dense > 0].mean()


def penalties(has):
    """Return λ of users and items by the formula of the paper, for the exponent 1."""
    n_users, n_items = has.shape
    return 0.01 * (has.sum(1) + 0.2 * n_items), 0.01 * (has.sum(0) + 0.2 * n_users)


def objective(fitted, weights):
    """Return the objective by its formula."""
    users, items = (side.astype(np.float64) for side in (fitted.user_factors, fitted.item_factors))
    dense, predicted = relative(weights), users @ items.T
    of_users, of_items = penalties(dense > 0)
    norms = (of_users * (users**2).sum(1)).sum() + (of_items * (items**2).sum(1)).sum()
    return (dense * (predicted - 1) ** 2).sum() + 0.2 * (predicted**2).sum() + norms


def plain_solution(item_factors, weights):
    """Return users' factors by their normal equations, one dense solution a user."""
    items, dense = item_factors.astype(np.float64), relative(weights)
    of_users, _ = penalties(dense > 0)
    return np.array([
        np.linalg.solve(
            (items.T * row) @ items + 0.2 * items.T @ items + penalty * np.eye(items.shape[1]),
            items.T @ row,
        )
        for row, penalty in zip(dense, of_users, strict=True)
    ])  # fmt: skip


def bits(fitted):
    return fitted.user_factors.tobytes(), fitted.item_factors.tobytes()


def test_fold_in_solves_the_equations(weights):
    """The factors of folded-in users are those of a plain dense solution."""
    fitted = MODEL.fit(weights, n_threads=1)
    found = fitted.fold_in(weights).user_factors
    assert np.allclose(found, plain_solution(fitted.item_factors, weights), atol=1e-5)


@pytest.mark.parametrize("length", ["short", "long"])
def test_training_solves_the_equations(weights, length, monkeypatch):
    """Rows in blocks come near to the plain solution in one sweep, long rows reach it."""
    if length == "long":
        monkeypatch.setattr(ials_solver, "_BLOCK_BYTES", 1)
    rng = np.random.default_rng(4)
    start = [rng.normal(0, 0.1, (n, 6)).astype(np.float32) for n in weights.shape]
    scaled = sp.csr_matrix(relative(weights).astype(np.float32))
    users, items = Side(scaled, start[0].copy()), Side(scaled.T.tocsr(), start[1])
    with ThreadPoolExecutor(2) as pool:
        solve_side(users, items, PENALTY, pool)
    exact = plain_solution(items.factors, weights)
    error = np.linalg.norm(users.factors - exact) / np.linalg.norm(exact)
    assert error < (1e-4 if length == "long" else 0.02)
    assert np.linalg.norm(start[0] - exact) > 0.5 * np.linalg.norm(exact)


def test_the_objective_falls_with_each_sweep(weights):
    """It is that of the paper, with weights whose mean is 1."""
    found = [
        objective(replace(MODEL, iterations=n).fit(weights, n_threads=1), weights)
        for n in range(1, 8)
    ]
    assert (np.diff(found) < 0).all()


def test_another_regularization_has_a_larger_objective(weights):
    """The control of the test above: the optimum of other parameters is not one of these."""
    other = replace(MODEL, regularization=0.1, iterations=30).fit(weights, n_threads=1)
    own = replace(MODEL, iterations=30).fit(weights, n_threads=1)
    assert objective(own, weights) < 0.98 * objective(other, weights)


def test_rotation_changes_no_score(weights):
    """Solving one side leaves the inner products of the other side's rows as they were."""
    scaled = sp.csr_matrix(relative(weights).astype(np.float32))
    rng = np.random.default_rng(4)
    users, items = (rng.normal(0, 0.1, (n, 6)).astype(np.float32) for n in weights.shape)
    before = items @ items.T
    with ThreadPoolExecutor(1) as pool:
        solve_side(Side(scaled, users), Side(scaled.T.tocsr(), items), PENALTY, pool)
    assert np.allclose(items @ items.T, before, atol=1e-6)


@pytest.mark.parametrize(("exponent", "expected"), [(1.0, [0.06, 0.56]), (0.0, [0.01, 0.01])])
def test_regularization_is_scaled_by_frequency(exponent, expected):
    """λ = regularization · (n + α₀ · n_others) ^ exponent; with 0 it is the same for all."""
    penalty = Penalty(0.01, 0.2, exponent)
    assert penalty.of(np.array([0, 50]), 30) == pytest.approx(expected)


def test_the_scale_of_the_weights_does_not_matter(weights):
    """Weights are relative to their mean: four times as large, they give the same bits."""
    fitted, scaled = MODEL.fit(weights, n_threads=1), MODEL.fit(4 * weights, n_threads=1)
    assert bits(fitted) == bits(scaled)
    folded_in, again = fitted.fold_in(weights[:5]), scaled.fold_in(4 * weights[:5])
    assert folded_in.user_factors.tobytes() == again.user_factors.tobytes()


def test_fold_in_keeps_the_mean_weight_of_training(weights):
    """A user whose weights are all larger is fitted closer."""
    fitted = MODEL.fit(weights, n_threads=1)
    items = fitted.item_factors[weights[0].indices]
    plain, heavy = (fitted.fold_in(n * weights[:1]).user_factors[0] for n in (1, 10))
    assert np.abs(1 - items @ heavy).mean() < 0.9 * np.abs(1 - items @ plain).mean()


def test_a_larger_weight_fits_interactions_closer(weights):
    """Predictions of items of a large weight are closer to 1 than those of a small one."""
    is_heavy = np.arange(weights.nnz) % 2 == 0
    weights.data = np.where(is_heavy, 2, 0.1).astype(np.float32)
    fitted = MODEL.fit(weights, n_threads=1)
    errors = np.abs(1 - fitted.user_factors @ fitted.item_factors.T)[weights.nonzero()]
    assert errors[~is_heavy].mean() > 1.2 * errors[is_heavy].mean()


def test_rows_without_interactions_have_zero_factors(weights):
    """Users without items and items without users, in training and in fold-in."""
    dense = weights.toarray()
    dense[[3, 7]] = dense[:, [5]] = 0
    weights = sp.csr_matrix(dense)
    fitted = MODEL.fit(weights, n_threads=1)
    assert not fitted.user_factors[[3, 7]].any()
    assert not fitted.item_factors[5].any()
    assert fitted.user_factors[4].any()
    assert not fitted.fold_in(weights[3:4]).user_factors.any()


def test_a_matrix_without_interactions_has_zero_factors():
    """It is fitted without a warning, and folds in nobody."""
    fitted = MODEL.fit(sp.csr_matrix(np.zeros((4, 3), np.float32)), n_threads=1)
    assert not fitted.user_factors.any()
    assert fitted.fold_in(sp.csr_matrix(np.zeros((0, 3), np.float32))).user_factors.shape == (0, 6)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    """With blocks so small that some rows of both sides are too long for one."""
    monkeypatch.setattr(ials_solver, "_BLOCK_BYTES", 4 * 6 * 12)
    weights = some_weights(n_items=150, density=0.08)
    for matrix in (weights, sp.csr_matrix(weights.T)):
        side = Side(matrix, np.zeros((matrix.shape[0], 6), np.float32))
        assert len(side.blocks) > 10
        assert len(side.long_rows) > 1
    found = [bits(MODEL.fit(weights, n_threads=n)) for n in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert found[0] != bits(replace(MODEL, seed=2).fit(weights, n_threads=1))


@pytest.mark.parametrize("seed", range(5))
def test_each_row_is_in_one_block(seed):
    """Blocks, padded to their longest row, hold at most max_length interactions."""
    rng = np.random.default_rng(seed)
    n_items = np.minimum(rng.pareto(0.7, 500).astype(int), 3000)
    made = sp.csr_matrix(np.arange(3000) < n_items[:, None], dtype=np.float32)
    side = Side(made, np.zeros((500, 512), np.float32))
    rows = np.concatenate([side.empty_rows, side.long_rows, *side.blocks])
    assert np.array_equal(np.sort(rows), np.arange(500))
    assert not n_items[side.empty_rows].any()
    assert (n_items[side.long_rows] > side.max_length).all()
    for block in side.blocks:
        assert len(block) == 1 or len(block) * n_items[block].max() <= side.max_length
        assert n_items[block].min() > 0


def test_more_factors_than_items(weights):
    """Equations of a low rank are solved, too: regularization makes them regular."""
    model = replace(MODEL, n_factors=100)
    fitted = model.fit(weights, n_threads=1)
    assert objective(fitted, weights) < objective(MODEL.fit(weights, n_threads=1), weights)


def test_a_warm_start_is_closer_to_the_optimum(weights):
    """One sweep from trained factors has a lower objective than one from random ones."""
    trained = MODEL.fit(weights, n_threads=1)
    start = Factors(trained.user_factors, trained.item_factors)
    before = bits(trained)
    once = replace(MODEL, iterations=1)
    warm = replace(once, start=start).fit(weights, n_threads=1)
    assert objective(warm, weights) < objective(trained, weights)
    assert objective(trained, weights) < objective(once.fit(weights, n_threads=1), weights)
    assert bits(trained) == before  # those of the parent are not modified


def test_refit_keeps_the_trial(weights):
    """It sweeps once over everything, on copies, and ends with the users."""
    trial = MODEL.fit(weights, n_threads=1)
    before = bits(trial)
    found = MODEL.refit(trial, np.arange(200), weights, n_threads=1)
    assert bits(trial) == before
    assert objective(found, weights) < objective(trial, weights)
    assert (trial.about, found.about) == ({"iterations": 8}, {"iterations": 9})
    exact = found.fold_in(weights).user_factors
    assert np.linalg.norm(found.user_factors - exact) < 0.01 * np.linalg.norm(exact)


def test_a_start_of_another_shape_is_an_error(weights):
    """Otherwise training would begin with factors of other users."""
    start = Factors(np.ones((3, 6), np.float32), np.ones((40, 6), np.float32))
    with pytest.raises(ValueError, match=r"\(3, 6\)"):
        replace(MODEL, start=start).fit(weights)


def test_a_start_that_is_not_finite_is_an_error(weights):
    """Otherwise every later snapshot would inherit it."""
    start = Factors(np.full((200, 6), np.nan, np.float32), np.ones((40, 6), np.float32))
    with pytest.raises(BatchError, match="initial user factors"):
        replace(MODEL, start=start).fit(weights)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_factors_that_are_not_finite_are_an_error(weights):
    """A regularization too large for float32 is an error, not a snapshot of NaN."""
    with pytest.raises(BatchError, match="factors"):
        replace(MODEL, regularization=1e39).fit(weights, n_threads=1)


def test_equations_without_a_solution_are_an_error():
    """Without regularization and with items of zero factors."""
    zeros = np.zeros((3, 2), np.float32)
    with pytest.raises(BatchError, match="no solution"):
        solve_exactly(zeros, zeros[:2], np.array([1]), np.ones(1, np.float32))
