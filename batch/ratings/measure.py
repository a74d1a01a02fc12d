"""How good are the predictions? Folds of the ratings, and a held-out tenth for the manifest."""

from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Flags
from batch.interactions.build import Ratings
from batch.ratings.model import misses
from batch.ratings.train import train_ratings
from batch.sampling import sample_users

_N_FOLDS: Final = 10  # of which the first is held out
_FEWEST: Final = 100  # ratings; fewer say nothing
_MOST: Final = 2_000_000  # ratings that are measured with, of users drawn by lot


class Fold(NamedTuple):
    """Ratings to train on, and ratings to judge by."""

    train: Ratings
    test: Ratings


def folds(ratings: Ratings, n_folds: int, seed: int) -> Iterator[Fold]:
    """Deal the ratings out by lot, and yield each part once as the test."""
    part = np.random.default_rng(seed).permutation(len(ratings.rating)) % n_folds
    for number in range(n_folds):
        yield Fold(some(ratings, part != number), some(ratings, part == number))


def some(ratings: Ratings, is_taken: Flags) -> Ratings:
    """Return those ratings, on the same scale."""
    return Ratings(
        ratings.user_row[is_taken],
        ratings.item_row[is_taken],
        ratings.rating[is_taken],
        ratings.best,
    )


def measure_ratings(
    ratings: Ratings, n_users: int, n_items: int, *, n_factors: int, seed: int, n_threads: int = 0
) -> dict[str, float]:
    """Train without a tenth of the ratings and judge by it, beside the biases alone.

    Of more than 2 million ratings those of users drawn by lot are taken, so that
    this stays a small part of a refresh.

    Returns:
        For the manifest: `rating_rmse`, `rating_mae`, `rating_rmse_of_biases`, in points
        of the scale; empty where there are fewer than 100 ratings.

    Raises:
        BatchError: A rating is not finite.
    """
    if len(ratings.rating) < _FEWEST:
        return {}
    train, test = next(folds(_bounded(ratings, n_users, seed), _N_FOLDS, seed))
    train_on = partial(train_ratings, train, n_users, n_items, seed=seed, n_threads=n_threads)
    model = train_on(n_factors=n_factors)
    biases = train_on(n_factors=0, n_tastes=0)
    assert model is not None
    assert biases is not None
    found = misses(model, test)
    return {
        "rating_rmse": round(found.rmse, 4),
        "rating_mae": round(found.mae, 4),
        "rating_rmse_of_biases": round(misses(biases, test).rmse, 4),
    }


def _bounded(ratings: Ratings, n_users: int, seed: int) -> Ratings:
    is_drawn = sample_users(np.bincount(ratings.user_row, minlength=n_users), _MOST, seed)
    return ratings if is_drawn.all() else some(ratings, is_drawn[ratings.user_row])
