"""The rating model of a refresh: training and measuring in parallel."""

import numpy as np
import pytest

from batch.errors import BatchError
from batch.interactions.build import Ratings
from batch.ratings.learn import learn_ratings
from batch.ratings.measure import measure_ratings
from batch.ratings.train import RatingOptions, train_ratings

SHAPE = 200, 60
PARAMETERS = {"n_factors": 3, "seed": 5, "n_threads": 2}


def some_ratings():
    rng = np.random.default_rng(8)
    pairs = np.unique(rng.integers(0, SHAPE[0] * SHAPE[1], 4000))
    stars = rng.integers(1, 6, len(pairs)).astype(np.float32)
    return Ratings(pairs // SHAPE[1], pairs % SHAPE[1], stars, 5.0)


def test_parallel_results_are_those_of_each_alone():
    """To the bit."""
    ratings, options = some_ratings(), RatingOptions(**PARAMETERS)
    model, figures = learn_ratings(ratings, *SHAPE, **PARAMETERS)
    alone = train_ratings(ratings, *SHAPE, options)
    assert figures == measure_ratings(ratings, *SHAPE, options)
    assert {"rating_rmse", "rating_mae", "rating_rmse_of_biases"} == figures.keys()
    for side in ("users", "items"):
        for name in ("bias", "factors"):
            one, other = (getattr(getattr(made, side), name) for made in (model, alone))
            assert one.tobytes() == other.tobytes()


def test_without_ratings_there_is_no_model():
    """The metrics are empty as well."""
    nothing = np.zeros(0, np.int64)
    ratings = Ratings(nothing, nothing, nothing.astype(np.float32), 5.0)
    assert learn_ratings(ratings, *SHAPE, **PARAMETERS) == (None, {})


def test_nan_rating_is_an_error():
    """Whether training or measuring raises it first."""
    ratings = some_ratings()
    ratings.rating[7] = np.nan
    with pytest.raises(BatchError, match="NaN"):
        learn_ratings(ratings, *SHAPE, **PARAMETERS)
