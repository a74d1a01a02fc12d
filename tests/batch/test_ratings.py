"""The rating model: known answers, degenerate data, and MovieLens."""

import csv
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from batch.errors import BatchError
from batch.interactions.build import Ratings
from batch.ratings.measure import folds, measure_ratings
from batch.ratings.model import RatingModel, prediction_errors
from batch.ratings.train import RatingOptions, _centre_users, train_ratings
from batch.sampling import sample_users
from tests.batch.made_ratings import made_by_a_model

OPTIONS = RatingOptions(n_factors=8, seed=42)


def ratings(*rows, best=5.0):
    user, item, rating = zip(*rows, strict=True) if rows else ((), (), ())
    return Ratings(
        np.array(user, np.int64), np.array(item, np.int64), np.array(rating, np.float32), best
    )


def trained(data, n_users, n_items, **changes) -> RatingModel:
    model = train_ratings(data, n_users, n_items, replace(OPTIONS, **changes))
    assert model is not None
    return model


def rmse(data, n_users, n_items, **changes):
    """Return the error on a held-out fifth."""
    train, test = next(folds(data, 5, seed=3))
    return prediction_errors(trained(train, n_users, n_items, **changes), test).rmse


# --- known answers --------------------------------------------------------------------------


def test_model_behind_the_ratings_is_recovered():
    """The error on held-out ratings hardly exceeds the noise that was added to them."""
    data, *_ = made_by_a_model()
    assert rmse(data, 500, 200) < 1.15 * 0.3
    assert rmse(data, 500, 200, n_factors=0) > 3 * 0.3, "biases alone must not suffice"


def test_more_factors_than_needed_hardly_change_the_error():
    """Superfluous factors are shrunk to nearly 0; one factor too few doubles the error."""
    data, *_ = made_by_a_model()
    assert rmse(data, 500, 200, n_factors=2) > 2 * rmse(data, 500, 200, n_factors=3)
    assert rmse(data, 500, 200, n_factors=16) < 1.06 * rmse(data, 500, 200, n_factors=3)


def test_biases_are_recovered():
    """Ratings made of biases alone: both biases are recovered, and the factors stay near 0."""
    data, user_bias, item_bias = made_by_a_model(n_factors=0)
    model = trained(data, 500, 200)
    assert model.users.bias == pytest.approx(user_bias - user_bias.mean(), abs=0.25)
    assert np.corrcoef(model.users.bias, user_bias)[0, 1] > 0.99
    assert np.corrcoef(model.items.bias, item_bias)[0, 1] > 0.99
    products = model.users.factors @ model.items.factors.T
    assert np.sqrt(np.mean(products**2)) < 0.05


def test_few_ratings_are_shrunk():
    """One rating of 5 hardly moves the bias of an item; forty do."""
    usual = [(user, item, 3 + (user + item) % 2) for user in range(60) for item in range(10)]
    single = [(0, 10, 5)]
    many = [(user, 11, 5) for user in range(40)]
    data = ratings(*usual, *single, *many)
    model = trained(data, 60, 12, n_factors=0, seed=1, n_directions=0)
    assert 0 < model.items.bias[10] < 0.7 * model.items.bias[11]
    assert model.mean + model.items.bias[11] == pytest.approx(5, abs=0.3)


def test_implicit_features_reduce_the_error():
    """Two groups of users who rate mostly their own items, and whose ratings scatter widely."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(300):
        own, other = (np.arange((user + side) % 2, 60, 2) for side in (0, 1))
        rows += [(user, item, rng.integers(2, 6)) for item in rng.choice(own, 8, replace=False)]
        rows += [(user, item, rng.integers(1, 4)) for item in rng.choice(other, 2, replace=False)]
    data = ratings(*rows)
    assert rmse(data, 300, 60) < 0.96 * rmse(data, 300, 60, n_directions=0)


def test_user_without_ratings_gets_the_average_prediction():
    """The average user has the vector 0, and so has a user without ratings."""
    data, *_ = made_by_a_model()
    model = trained(data, 501, 200)
    rated = model.users.is_rated
    assert not rated[500]
    everyone = [
        model.predict(np.flatnonzero(rated), np.full(500, item)).mean() for item in range(200)
    ]
    unrated = model.predict(np.full(200, 500), np.arange(200))
    assert unrated == pytest.approx(np.array(everyone), abs=1e-4)


def test_centring_users_changes_no_prediction():
    """The average user moves into the mean and the items' biases."""
    rng = np.random.default_rng(1)
    users, items = rng.normal(2, 1, (9, 4)), rng.normal(-1, 1, (7, 4))
    centred_users, centred_items, centre = _centre_users(users, items)

    def predicted(users, items):
        return users[:, :1] + items[:, 0] + users[:, 1:] @ items[:, 1:].T

    assert centre + predicted(centred_users, centred_items) == pytest.approx(
        predicted(users, items)
    )
    assert centred_users.mean(axis=0) == pytest.approx(np.zeros(4))


def test_predictions_stay_on_the_scale():
    """A generous user and a well-rated item: mean and biases exceed 5, the prediction is 5."""
    generous = [(user, item, 5) for user in range(0, 40, 2) for item in range(1, 10)]
    strict = [(user, item, 3) for user in range(1, 40, 2) for item in range(1, 10)]
    loved = [(user, 0, 5) for user in range(1, 40, 2)]
    model = trained(ratings(*generous, *strict, *loved), 40, 10, n_factors=0, seed=1)
    assert model.mean + model.users.bias[0] + model.items.bias[0] > 6, "clipping must matter"
    assert model.predict(np.array([0]), np.array([0])) == 5


@pytest.mark.parametrize(
    ("extremes", "best", "scale"),
    [((2, 5), 5, (1, 5)), ((0.5, 4), 5, (0.5, 5)), ((3, 9), 10, (1, 10))],
)
def test_scale_starts_at_1_or_at_the_lowest_rating(extremes, best, scale):
    """Half stars reach below 1; data without a 1 still has 1 on its scale."""
    data = ratings(*((row, row % 2, extremes[row % 2]) for row in range(6)), best=best)
    assert trained(data, 6, 2).scale == scale


def test_predictions_scale_with_the_ratings():
    """Twice the ratings, twice the predictions: no parameter is in points of a scale."""
    data, *_ = made_by_a_model(n_users=80, n_items=50)
    twice = Ratings(data.user_row, data.item_row, 2 * data.rating, 2 * data.best)
    one, two = (trained(part, 80, 50) for part in (data, twice))
    pairs = data.user_row, data.item_row
    assert two.predict(*pairs) == pytest.approx(2 * one.predict(*pairs), rel=1e-4)


# --- determinism ----------------------------------------------------------------------------


def as_bytes(model):
    parts = (model.users.bias, model.users.factors, model.items.bias, model.items.factors)
    return (model.mean, *(part.tobytes() for part in parts))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_same_ratings_give_the_same_bits(n_threads):
    """On one thread and on two, in whatever order the ratings come."""
    data, *_ = made_by_a_model(n_users=3_000, n_items=150, share=0.1)
    order = np.random.default_rng(1).permutation(len(data.rating))
    shuffled = Ratings(data.user_row[order], data.item_row[order], data.rating[order], 20.0)
    n_per_chunk = 500  # more chunks than threads
    found = trained(shuffled, 3_000, 150, n_threads=n_threads, users_per_chunk=n_per_chunk)
    with threadpool_limits(n_threads, "blas"):
        again = trained(data, 3_000, 150, n_threads=3, users_per_chunk=n_per_chunk)
    assert as_bytes(found) == as_bytes(again)


def test_chunk_size_changes_only_the_last_digits():
    data, *_ = made_by_a_model(n_users=100, n_items=50)
    whole = trained(data, 100, 50)
    parts = trained(data, 100, 50, users_per_chunk=7)
    pairs = data.user_row, data.item_row
    assert parts.predict(*pairs) == pytest.approx(whole.predict(*pairs), abs=1e-4)


# --- large and degenerate data --------------------------------------------------------------


def test_sweeps_over_a_third_of_the_users_give_nearly_the_same_error():
    """One last sweep covers all users, so predictions exist for all."""
    data, *_ = made_by_a_model(n_users=3000)
    whole = rmse(data, 3000, 200, n_factors=3)
    part = rmse(data, 3000, 200, n_factors=3, max_ratings=len(data.rating) // 3)
    assert part == pytest.approx(whole, rel=0.03)
    assert part != whole


def test_sample_has_at_most_the_given_number_of_ratings():
    """All users where they have no more, at least one user, other users for another seed."""
    n_ratings = np.full(100, 7)
    assert sample_users(n_ratings, 700, seed=1).all()
    assert sample_users(n_ratings, 699, seed=1).sum() == 99
    assert sample_users(n_ratings, 70, seed=1).sum() == 10
    assert sample_users(n_ratings, 1, seed=1).sum() == 1
    one, two = (sample_users(n_ratings, 350, seed=seed) for seed in (1, 2))
    assert (one != two).any()


def test_without_ratings_there_is_no_model():
    """The metrics are empty as well."""
    assert train_ratings(ratings(), 2, 2, OPTIONS) is None
    assert measure_ratings(ratings(), 2, 2, OPTIONS) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_ratings_that_are_not_finite_are_refused(value):
    """The error counts them; one NaN would make every parameter NaN."""
    data = ratings(*((row, row, 4) for row in range(9)), (0, 1, value))
    with pytest.raises(BatchError, match="ratings: 1 of 10 numbers are NaN or infinite"):
        train_ratings(data, 9, 9, OPTIONS)


DEGENERATE: dict[str, Sequence[tuple[int, int, float]]] = {
    "one rating": [(0, 0, 4)],
    "one user": [(0, item, 1 + item % 5) for item in range(20)],
    "one item": [(user, 0, 1 + user % 5) for user in range(20)],
    "all the same": [(user, item, 3) for user in range(20) for item in range(20)],
    "two ends": [(user, item, 1 + 4 * (user % 2)) for user in range(20) for item in range(20)],
    "negative and huge": [(0, 0, -1e6), (0, 1, 1e6), (1, 0, 3), (1, 1, 1e6)],
    "one user with everything": [(0, item, 1 + item % 5) for item in range(2_000)] + [(1, 0, 5)],
}


@pytest.mark.parametrize("rows", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_degenerate_data_gives_finite_predictions(rows):
    """Every prediction is a number on the scale, and no warning is raised."""
    data = ratings(*rows)
    n_users, n_items = data.user_row.max() + 2, data.item_row.max() + 2
    model = trained(data, n_users, n_items)
    user_row, item_row = np.indices((n_users, n_items)).reshape(2, -1)
    every = model.predict(user_row, item_row)
    assert np.isfinite(every).all()
    assert model.scale.lowest <= every.min() <= every.max() <= model.scale.highest


def test_data_without_noise_can_be_fitted():
    """After 100 sweeps the noise variance is still above 0."""
    model = trained(ratings(*DEGENERATE["two ends"]), 20, 20, iterations=100)
    assert model.predict(np.array([0, 1]), np.array([0, 0])) == pytest.approx([1, 5], abs=0.01)


def test_constant_ratings_predict_the_constant():
    """Where every rating is a 3, a 3 is predicted, for a user without ratings as well."""
    model = trained(ratings(*DEGENERATE["all the same"]), 21, 21)
    user_row, item_row = np.indices((21, 21)).reshape(2, -1)
    every = model.predict(user_row, item_row)
    assert every == pytest.approx(np.full(441, 3.0), abs=0.01)


# --- measuring ------------------------------------------------------------------------------


def test_each_rating_is_in_one_test_fold():
    """No rating is in both the training and the test set of a fold."""
    data, *_ = made_by_a_model(n_users=30, n_items=20)
    pairs = set(zip(data.user_row.tolist(), data.item_row.tolist(), strict=True))
    tested = []
    for train, test in folds(data, 4, seed=1):
        trained = set(zip(train.user_row.tolist(), train.item_row.tolist(), strict=True))
        held = list(zip(test.user_row.tolist(), test.item_row.tolist(), strict=True))
        assert trained | set(held) == pairs
        assert trained.isdisjoint(held)
        tested += held
    assert sorted(tested) == sorted(pairs)


def test_errors_are_measured_on_held_out_ratings():
    """They are near the noise, and above the error on the training ratings."""
    data, *_ = made_by_a_model()
    found = measure_ratings(data, 500, 200, OPTIONS)
    on_training = prediction_errors(trained(data, 500, 200), data).rmse
    assert on_training < 0.3 < found["rating_rmse"] < 0.36
    assert found["rating_mae"] == pytest.approx(found["rating_rmse"] * np.sqrt(2 / np.pi), rel=0.05)
    assert found["rating_rmse_of_biases"] > 3 * found["rating_rmse"]


def test_large_data_is_measured_on_a_sample_of_users(monkeypatch):
    """With all ratings of each sampled user, so the error hardly changes."""
    data, *_ = made_by_a_model()
    whole = measure_ratings(data, 500, 200, OPTIONS)["rating_rmse"]
    sizes = []

    def train(ratings, *arguments):
        sizes.append(len(ratings.rating))
        return train_ratings(ratings, *arguments)

    monkeypatch.setattr("batch.ratings.measure.train_ratings", train)
    sampled = measure_ratings(data, 500, 200, OPTIONS, max_ratings=len(data.rating) // 2)
    assert sampled["rating_rmse"] == pytest.approx(whole, rel=0.1)
    assert 0.4 * len(data.rating) < sizes[0] <= 0.45 * len(data.rating)


# --- the real data --------------------------------------------------------------------------


def movielens(path, delimiter):
    """Ratings of one file, read without the batch's own parsers."""
    rows = []
    with path.open(newline="") as file:
        for row in csv.reader(file, delimiter=delimiter):
            if row[0].isdecimal():
                rows.append((row[0], row[1], float(row[2])))
    users, items, rating = zip(*rows, strict=True)
    user_row = np.unique(users, return_inverse=True)[1]
    item_row = np.unique(items, return_inverse=True)[1]
    return Ratings(user_row, item_row, np.array(rating, np.float32), 5.0)


@pytest.mark.parametrize(
    ("name", "delimiter", "n_ratings", "limits"),
    [
        ("ml-100k/u.data", "\t", 100_000, (0.89, 0.70)),
        ("ml-latest-small/ratings.csv", ",", 100_836, (0.835, 0.64)),
    ],
)
def test_error_on_movielens_is_low(shared_data, name, delimiter, n_ratings, limits):
    """RMSE and MAE over 5 folds; SVD++ has 0.919 on ML-100k, users' and items' biases 0.944."""
    data = movielens(shared_data / name, delimiter)
    assert len(data.rating) == n_ratings
    rows = data.user_row.max() + 1, data.item_row.max() + 1
    found = [
        prediction_errors(trained(fold.train, *rows), fold.test) for fold in folds(data, 5, 42)
    ]
    assert (np.mean(found, axis=0) <= limits).all(), np.mean(found, axis=0)
