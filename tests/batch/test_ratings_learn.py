"""The rating model of a refresh: trained and measured at once, as if one after the other."""

import numpy as np
import pytest

from batch.errors import BatchError
from batch.interactions.build import Ratings
from batch.ratings.learn import learn_ratings
from batch.ratings.measure import measure_ratings
from batch.ratings.train import train_ratings

SHAPE = 200, 60
HOW = {"n_factors": 3, "seed": 5, "n_threads": 2}


def some_ratings():
    rng = np.random.default_rng(8)
    met = np.unique(rng.integers(0, SHAPE[0] * SHAPE[1], 4000))
    stars = rng.integers(1, 6, len(met)).astype(np.float32)
    return Ratings(met // SHAPE[1], met % SHAPE[1], stars, 5.0)


def test_both_at_once_give_what_each_gives_alone():
    """To the bit."""
    ratings = some_ratings()
    model, figures = learn_ratings(ratings, *SHAPE, **HOW)
    alone = train_ratings(ratings, *SHAPE, **HOW)
    assert figures == measure_ratings(ratings, *SHAPE, **HOW)
    assert {"rating_rmse", "rating_mae", "rating_rmse_of_biases"} == figures.keys()
    for side in ("users", "items"):
        for name in ("bias", "factors"):
            one, other = (getattr(getattr(made, side), name) for made in (model, alone))
            assert one.tobytes() == other.tobytes()


def test_without_ratings_there_is_no_model():
    """And nothing to measure."""
    nothing = np.zeros(0, np.int64)
    ratings = Ratings(nothing, nothing, nothing.astype(np.float32), 5.0)
    assert learn_ratings(ratings, *SHAPE, **HOW) == (None, {})


def test_a_rating_that_is_no_number_is_an_error():
    """Whichever of the two meets it first."""
    ratings = some_ratings()
    ratings.rating[7] = np.nan
    with pytest.raises(BatchError, match="NaN"):
        learn_ratings(ratings, *SHAPE, **HOW)
