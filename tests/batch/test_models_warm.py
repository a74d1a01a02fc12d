"""Warm starts: vectors carried over by id, and training that begins with them."""

import numpy as np
import pyarrow as pa
import pytest

from batch.errors import BatchError
from batch.models.als import Als
from batch.models.factors import Factors
from batch.models.warm import carry_over
from tests.batch.made_weights import some_weights


def test_known_ids_keep_their_vectors_and_new_ones_are_small():
    """The old and the new rows of an id may differ."""
    old = np.arange(6, dtype=np.float32).reshape(3, 2) + 1
    start = carry_over(old, pa.array(["a", "b", "d"]), pa.array(["b", "c", "d", "e"]), seed=1)
    assert start.dtype == np.float32
    assert start[[0, 2]].tolist() == old[[1, 2]].tolist()
    assert (np.abs(start[[1, 3]]) <= 0.01).all()
    assert (start[[1, 3]] != 0).any()


def test_the_same_seed_gives_the_same_start():
    """Another seed gives another one."""
    args = np.ones((1, 8), np.float32), pa.array(["a"]), pa.array(["a", "b"])
    starts = [carry_over(*args, seed=seed).tobytes() for seed in (1, 1, 2)]
    assert starts[0] == starts[1] != starts[2]


def test_vectors_without_ids_are_an_error():
    """They would be given to the wrong items."""
    with pytest.raises(ValueError, match="2 vectors"):
        carry_over(np.ones((2, 3), np.float32), pa.array(["a"]), pa.array(["a"]), seed=1)


def test_a_warm_start_fits_better_than_a_cold_one():
    """After one sweep its predictions of users' items are closer to 1."""
    weights = some_weights()
    trained = Als(n_factors=4, iterations=15).fit(weights, n_threads=1)
    start = Factors(trained.user_factors, trained.item_factors)
    before = start.user_factors.copy()
    pairs = weights.nonzero()

    def error(model):
        return float(np.abs(1 - (model.user_factors @ model.item_factors.T)[pairs]).mean())

    warm = Als(n_factors=4, iterations=1, start=start).fit(weights, n_threads=1)
    cold = Als(n_factors=4, iterations=1).fit(weights, n_threads=1)
    assert error(warm) < 0.95 * error(cold)
    assert np.array_equal(start.user_factors, before)  # those of the parent are not modified


def test_a_start_of_another_shape_is_an_error():
    """Otherwise training would silently begin with factors of other users."""
    weights = some_weights()
    start = Factors(np.ones((3, 4), np.float32), np.ones((40, 4), np.float32))
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        Als(n_factors=4, start=start).fit(weights)


def test_a_start_that_is_not_finite_is_an_error():
    """Otherwise every later snapshot would inherit it."""
    weights = some_weights()
    start = Factors(np.full((200, 4), np.nan, np.float32), np.ones((40, 4), np.float32))
    with pytest.raises(BatchError, match="initial user factors"):
        Als(n_factors=4, start=start).fit(weights)
