"""The rating model by hand: a mean, and shrunken deviations of items and users."""

import numpy as np
import pytest

from batch.biases import fit_biases
from batch.interactions import Ratings


def ratings(*rows):
    """Return ratings of (user_row, item_row, rating)."""
    user, item, rating = zip(*rows, strict=True) if rows else ((), (), ())
    return Ratings(
        np.array(user, np.int64), np.array(item, np.int64), np.array(rating, np.float32), 5.0
    )


def test_known_answer():
    """Three ratings, worked out by hand after Koren's equations.

    mean = (5 + 3 + 1) / 3 = 3. Item 0: (2 + 0) / (25 + 2) = 2/27; item 1: -2 / (25 + 1) = -1/13.
    User 0 is left with 2 - 2/27 and -2 + 1/13, their sum over 10 + 2; user 1 with 0 - 2/27, over
    10 + 1.
    """
    biases = fit_biases(ratings((0, 0, 5), (1, 0, 3), (0, 1, 1)), n_users=2, n_items=2)
    assert biases.mean == pytest.approx(3)
    assert biases.item_bias == pytest.approx([2 / 27, -1 / 13])
    assert biases.user_bias == pytest.approx([(1 / 13 - 2 / 27) / 12, -2 / 27 / 11])


def test_without_ratings_there_is_no_model():
    """No ratings, no biases, and no mean of nothing."""
    assert fit_biases(ratings(), n_users=2, n_items=2) is None


def test_unrated_users_and_items_have_a_bias_of_0():
    """Each user and item has a place; who rated nothing deviates by nothing."""
    biases = fit_biases(ratings((1, 2, 5), (3, 0, 1)), n_users=5, n_items=4)
    assert (len(biases.user_bias), len(biases.item_bias)) == (5, 4)
    assert biases.user_bias[[0, 2, 4]].tolist() == [0, 0, 0]
    assert biases.item_bias[[1, 3]].tolist() == [0, 0]


def test_equal_ratings_leave_no_bias():
    """Where everybody says 4 the mean says all."""
    biases = fit_biases(ratings(*((u, i, 4) for u in range(3) for i in range(3))), 3, 3)
    assert (biases.mean, np.abs(biases.user_bias).max(), np.abs(biases.item_bias).max()) == (
        4,
        0,
        0,
    )


def test_many_ratings_outweigh_the_shrinkage():
    """An item that a thousand users rate 2 above all others has a bias near to that."""
    rows = [(user, item, 5 if item == 0 else 3) for user in range(1_000) for item in range(2)]
    biases = fit_biases(ratings(*rows), 1_000, 2)
    assert biases.mean + biases.item_bias == pytest.approx([5, 3], abs=0.03)


def test_generous_users_have_a_positive_bias():
    """Who rates the same items higher than others is told from who rates better items."""
    rows = [(user, item, 5 if user % 2 else 3) for user in range(100) for item in range(30)]
    biases = fit_biases(ratings(*rows), 100, 30)
    assert biases.item_bias == pytest.approx(np.zeros(30), abs=1e-9)
    assert biases.user_bias[:2] == pytest.approx([-30 / 40, 30 / 40])
