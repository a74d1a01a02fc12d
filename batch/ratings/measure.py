"""How good are the predictions? Folds of the ratings, and a held-out tenth for the manifest."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Flags
from batch.interactions.build import Ratings
from batch.ratings.model import prediction_errors
from batch.ratings.train import RatingOptions, train_ratings
from batch.sampling import sample_users

_N_FOLDS: Final = 10  # the first one is held out
_MIN_RATINGS: Final = 100  # with fewer, the errors would be noise
_MAX_RATINGS: Final = 2_000_000  # of a sample of users: measuring stays a small part of a refresh


class Fold(NamedTuple):
    """Ratings to train on, and ratings to measure the errors on."""

    train: Ratings
    test: Ratings


def folds(ratings: Ratings, n_folds: int, seed: int) -> Iterator[Fold]:
    """Assign the ratings to folds at random, and yield each fold once as the test set."""
    part = np.random.default_rng(seed).permutation(len(ratings.rating)) % n_folds
    for number in range(n_folds):
        yield Fold(subset(ratings, part != number), subset(ratings, part == number))


def subset(ratings: Ratings, is_taken: Flags) -> Ratings:
    """Return the ratings where `is_taken` is True, on the same scale."""
    return Ratings(
        ratings.user_row[is_taken],
        ratings.item_row[is_taken],
        ratings.rating[is_taken],
        ratings.best,
    )


def measure_ratings(
    ratings: Ratings,
    n_users: int,
    n_items: int,
    options: RatingOptions,
    *,
    max_ratings: int = _MAX_RATINGS,
) -> dict[str, float]:
    """Train without a tenth of the ratings and measure the errors on it; the biases alone as well.

    Args:
        ratings: Ratings, at most one for each user and item.
        n_users: Number of user rows, those without ratings included.
        n_items: Number of item rows, those without ratings included.
        options: Options of the training.
        max_ratings: Limit on the ratings used; above it, a random sample of users is measured.

    Returns:
        `rating_rmse`, `rating_mae` and `rating_rmse_of_biases` for the manifest, in points
        of the scale; empty where there are fewer than 100 ratings.

    Raises:
        BatchError: A rating is not finite.
    """
    if len(ratings.rating) < _MIN_RATINGS:
        return {}
    sampled = _sample(ratings, n_users, max_ratings, options.seed)
    train, test = next(folds(sampled, _N_FOLDS, options.seed))
    model = train_ratings(train, n_users, n_items, options)
    biases_only = replace(options, n_factors=0, n_directions=0)
    biases = train_ratings(train, n_users, n_items, biases_only)
    assert model is not None
    assert biases is not None
    errors = prediction_errors(model, test)
    return {
        "rating_rmse": round(errors.rmse, 4),
        "rating_mae": round(errors.mae, 4),
        "rating_rmse_of_biases": round(prediction_errors(biases, test).rmse, 4),
    }


def _sample(ratings: Ratings, n_users: int, max_ratings: int, seed: int) -> Ratings:
    is_sampled = sample_users(np.bincount(ratings.user_row, minlength=n_users), max_ratings, seed)
    return ratings if is_sampled.all() else subset(ratings, is_sampled[ratings.user_row])
