"""Parts of models: folding in, top-k of dense scores, filling of short lists."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.models.dense_topk import LOWEST_ABOVE_ZERO, best_of
from batch.models.factors import FittedFactors
from batch.models.fill import filled
from batch.models.least_squares_users import LeastSquares, diagonalised
from batch.models.norms import kept_by_array
from batch.topk import NO_ITEM, TopK


def test_folding_in_solves_the_equation_of_the_paper():
    """x = (Yᵀ C Y + λI)⁻¹ Yᵀ C p, computed here by NumPy in double precision."""
    rng = np.random.default_rng(2)
    items = rng.standard_normal((30, 5)).astype(np.float32)
    weights = sp.csr_matrix((rng.random((7, 30)) < 0.2) * rng.random((7, 30)), dtype=np.float32)
    rotated = diagonalised(items)
    solve = LeastSquares.of(
        rotated, np.ones(30, np.int64), unobserved_weight=1.0, scale=3.0, offset=1.0, penalty=0.7
    )
    scores = solve(weights) @ rotated.T
    for user in range(7):
        row = weights[user].toarray()[0]
        confidence = np.diag(1 + 3.0 * row.astype(np.float64))
        left = items.T @ confidence @ items + 0.7 * np.eye(5)
        expected = np.linalg.solve(left, items.T @ confidence @ (row > 0))
        assert scores[user] == pytest.approx(items @ expected, abs=1e-4)


@given(
    seed=st.integers(0, 10**6),
    n_items=st.sampled_from((1, 10, 300)),
    k=st.integers(1, 12),
    n_values=st.sampled_from((4, 10**6)),
)
def test_the_best_above_zero_are_those_of_a_full_sort(seed, n_items, k, n_values):
    """Rows are sorted by score, then item row, without scores up to 0; ties are frequent."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-1, n_values, (6, n_items)) * (rng.random((6, n_items)) < 0.6)
    found = best_of(dense.astype(np.float32), k, LOWEST_ABOVE_ZERO)
    for user in range(6):
        row = dense[user]
        order = sorted(np.flatnonzero(row > 0).tolist(), key=lambda item: (-row[item], item))
        expected = order[:k] + [NO_ITEM] * (k - len(order[:k]))
        assert found.item_rows[user].tolist() == expected
        assert found.scores[user][: len(order[:k])].tolist() == [row[i] for i in order[:k]]


def test_short_lists_are_filled_and_full_ones_unchanged():
    """Items come in the order of the other lists, without repeats, with a score of 0."""
    own = TopK(np.array([[5, NO_ITEM, NO_ITEM], [1, 2, 3]], np.int32),
               np.array([[2, -np.inf, -np.inf], [3, 2, 1]], np.float32))  # fmt: skip
    other = TopK(np.array([[5, 7, 6], [9, 8, 7]], np.int32), np.ones((2, 3), np.float32))
    both = filled(own, other)
    assert both.item_rows.tolist() == [[5, 7, 6], [1, 2, 3]]
    assert both.scores.tolist() == [[2, 0, 0], [3, 2, 1]]


@given(seed=st.integers(0, 10**6), k=st.sampled_from((1, 5, 40)), n_users=st.sampled_from((1, 50)))
@settings(deadline=None, max_examples=15)
def test_lists_are_those_of_a_full_sort_of_inner_products(seed, k, n_users):
    """Of few users and of many, with equal items, seen and hidden ones."""
    rng = np.random.default_rng(seed)
    items = rng.standard_normal((1500, 6), np.float32) * rng.random((1500, 1), np.float32)
    items[rng.integers(0, 1500, 300)] = items[0]  # equal vectors are ties
    users = rng.standard_normal((n_users, 6), np.float32)
    users[rng.random(n_users) < 0.1] = 0
    seen = sp.csr_matrix((rng.random((n_users, 1500)) < 0.01).astype(np.float32))
    hidden = {1, 7, 1499}
    found = FittedFactors(users, items, seen, lambda _: users).top_k(k, hidden=hidden)
    scores = np.vecdot(items[None], users[:, None, :]) + np.float32(0)
    scores[seen.nonzero()] = -np.inf
    scores[:, list(hidden)] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert found.item_rows.tolist() == best.tolist()
    assert found.scores.tobytes() == np.take_along_axis(scores, best, axis=1).tobytes()


def test_what_is_kept_of_an_array_ends_with_it():
    """Another array gets its own value, and memory does not grow."""
    sums = kept_by_array(lambda array: float(array.sum()))
    ones, twos = np.ones(3, np.float32), 2 * np.ones(3, np.float32)
    assert (sums(ones), sums(twos), sums(ones)) == (3, 6, 3)
    for number in range(50):
        assert sums(np.full(3, number, np.float32)) == 3 * number
