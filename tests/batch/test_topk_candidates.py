"""The candidates of a block: every score that reaches its user's bound, and no other."""

import numpy as np
import pytest

from batch.topk_candidates import part_maxima, reached_by, reaching

WIDTHS = [(1, 3), (7, 1), (640, 20), (641, 20), (1_280, 20), (3_712, 20), (3_712, 100)]


def block(width, n_users=9):
    rng = np.random.default_rng(width)
    scores = rng.integers(-50, 50, (n_users, width)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf  # hidden items
    return scores


@pytest.mark.parametrize(("width", "k"), WIDTHS)
def test_candidates_are_all_scores_from_the_bound(width, k):
    """Of every width the rows, columns and scores are those of a plain comparison."""
    scores = block(width)
    reached = np.linspace(-20, 60, len(scores), dtype=np.float32)
    found = reaching(scores, part_maxima(scores, k), reached)
    rows, columns = np.nonzero(scores >= reached[:, None])
    assert set(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == set(
        zip(rows.tolist(), columns.tolist(), strict=True)
    )
    assert len(found.rows) == len(rows)
    assert (np.diff(found.rows) >= 0).all()
    np.testing.assert_array_equal(found.scores, scores[found.rows, found.columns])


@pytest.mark.parametrize(("width", "k"), [pair for pair in WIDTHS if pair[0] >= pair[1]])
def test_the_bound_is_a_bound(width, k):
    """At least k scores reach it, hidden ones included; it never exceeds the k-th best."""
    scores = block(width)
    bound = reached_by(part_maxima(scores, k), k)
    assert (bound <= np.sort(scores, axis=1)[:, -k]).all()
    assert ((scores >= bound[:, None]).sum(axis=1) >= k).all()


def test_the_bound_is_close():
    """Of random scores hardly more than k reach the bound, so few are sorted."""
    scores = np.random.default_rng(3).standard_normal((200, 3_712), dtype=np.float32)
    maxima = part_maxima(scores, 20)
    assert maxima.shape == (200, 3_712 // 8)
    assert (scores >= reached_by(maxima, 20)[:, None]).sum() < 200 * 20 * 1.5


def test_a_small_block_has_one_part():
    """Where the list takes a large share of the items, the scores are their own maxima."""
    scores = block(632)
    assert part_maxima(scores, 20) is scores
