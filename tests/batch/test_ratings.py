"""The rating model: known answers, hard data, and the real MovieLens."""

import csv

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from batch.errors import BatchError
from batch.interactions.build import Ratings
from batch.ratings.measure import folds, measure_ratings
from batch.ratings.model import misses
from batch.ratings.train import _centred, train_ratings
from batch.sampling import sample_users
from tests.batch.made_ratings import made_by_a_model

HOW = {"n_factors": 8, "seed": 42}


def ratings(*rows, best=5.0):
    user, item, rating = zip(*rows, strict=True) if rows else ((), (), ())
    return Ratings(
        np.array(user, np.int64), np.array(item, np.int64), np.array(rating, np.float32), best
    )


def rmse(data, n_users, n_items, **how):
    train, test = next(folds(data, 5, seed=3))
    return misses(train_ratings(train, n_users, n_items, **{**HOW, **how}), test).rmse


# --- known answers --------------------------------------------------------------------------


def test_a_model_that_made_the_ratings_is_found_again():
    """Ratings held out are missed by hardly more than the noise that was put into them."""
    data, *_ = made_by_a_model()
    assert rmse(data, 500, 200) < 1.15 * 0.3
    assert rmse(data, 500, 200, n_factors=0) > 3 * 0.3, "without factors it cannot be"


def test_more_factors_than_there_are_do_little_harm():
    """What is not in the data is learned to be nearly nothing; one too few is another matter."""
    data, *_ = made_by_a_model()
    assert rmse(data, 500, 200, n_factors=2) > 2 * rmse(data, 500, 200, n_factors=3)
    assert rmse(data, 500, 200, n_factors=16) < 1.06 * rmse(data, 500, 200, n_factors=3)


def test_biases_are_found_again():
    """Where there are nothing but biases, both are found, and the factors stay out of it."""
    data, user_bias, item_bias = made_by_a_model(n_factors=0)
    model = train_ratings(data, 500, 200, **HOW)
    assert model.users.bias == pytest.approx(user_bias - user_bias.mean(), abs=0.25)
    assert np.corrcoef(model.users.bias, user_bias)[0, 1] > 0.99
    assert np.corrcoef(model.items.bias, item_bias)[0, 1] > 0.99
    shared = model.users.factors @ model.items.factors.T
    assert np.sqrt(np.mean(shared**2)) < 0.05


def test_few_ratings_are_shrunk():
    """One rating of 5 among threes does not make a film of 5 stars; forty of them do."""
    usual = [(user, item, 3 + (user + item) % 2) for user in range(60) for item in range(10)]
    alone = [(0, 10, 5)]
    many = [(user, 11, 5) for user in range(40)]
    model = train_ratings(ratings(*usual, *alone, *many), 60, 12, n_factors=0, seed=1, n_tastes=0)
    assert 0 < model.items.bias[10] < 0.7 * model.items.bias[11]
    assert model.mean + model.items.bias[11] == pytest.approx(5, abs=0.3)


def test_what_is_rated_tells_more_than_the_ratings():
    """Users of two tastes who rate mostly their own, and whose ratings scatter widely."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(300):
        own, other = (np.arange((user + side) % 2, 60, 2) for side in (0, 1))
        rows += [(user, item, rng.integers(2, 6)) for item in rng.choice(own, 8, replace=False)]
        rows += [(user, item, rng.integers(1, 4)) for item in rng.choice(other, 2, replace=False)]
    data = ratings(*rows)
    assert rmse(data, 300, 60) < 0.96 * rmse(data, 300, 60, n_tastes=0)


def test_user_without_ratings_is_the_average_user():
    """The model's 0 is the average user, so the strict and the mild cancel out."""
    data, *_ = made_by_a_model()
    model = train_ratings(data, 501, 200, **HOW)
    rated = model.users.is_rated
    assert not rated[500]
    everyone = [
        model.predict(np.flatnonzero(rated), np.full(500, item)).mean() for item in range(200)
    ]
    newcomer = model.predict(np.full(200, 500), np.arange(200))
    assert newcomer == pytest.approx(np.array(everyone), abs=1e-4)


def test_centring_changes_no_prediction():
    """The average user goes into the mean and the items' biases, and comes back from there."""
    rng = np.random.default_rng(1)
    users, items = rng.normal(2, 1, (9, 4)), rng.normal(-1, 1, (7, 4))
    centred_users, centred_items, centre = _centred(users, items)

    def predicted(users, items):
        return users[:, :1] + items[:, 0] + users[:, 1:] @ items[:, 1:].T

    assert centre + predicted(centred_users, centred_items) == pytest.approx(
        predicted(users, items)
    )
    assert centred_users.mean(axis=0) == pytest.approx(np.zeros(4))


def test_predictions_stay_on_the_scale():
    """Who gives only fives, and what the strict give a five: that is no promise of a 7."""
    mild = [(user, item, 5) for user in range(0, 40, 2) for item in range(1, 10)]
    strict = [(user, item, 3) for user in range(1, 40, 2) for item in range(1, 10)]
    loved = [(user, 0, 5) for user in range(1, 40, 2)]
    model = train_ratings(ratings(*mild, *strict, *loved), 40, 10, n_factors=0, seed=1)
    assert model.mean + model.users.bias[0] + model.items.bias[0] > 6, "or this shows nothing"
    assert model.predict(np.array([0]), np.array([0])) == 5


@pytest.mark.parametrize(
    ("given", "best", "scale"),
    [((2, 5), 5, (1, 5)), ((0.5, 4), 5, (0.5, 5)), ((3, 9), 10, (1, 10))],
)
def test_scale_begins_at_one_or_where_the_data_does(given, best, scale):
    """Half stars reach below 1; that nobody gave a 1 does not make it impossible."""
    data = ratings(*((row, row % 2, given[row % 2]) for row in range(6)), best=best)
    assert train_ratings(data, 6, 2, **HOW).scale == scale


def test_ten_points_are_learned_like_five():
    """Twice the rating, twice the prediction: nothing is set in points of one scale."""
    data, *_ = made_by_a_model(n_users=80, n_items=50)
    twice = Ratings(data.user_row, data.item_row, 2 * data.rating, 2 * data.best)
    one, two = (train_ratings(part, 80, 50, **HOW) for part in (data, twice))
    pairs = data.user_row, data.item_row
    assert two.predict(*pairs) == pytest.approx(2 * one.predict(*pairs), rel=1e-4)


# --- the same again -------------------------------------------------------------------------


def as_bytes(model):
    parts = (model.users.bias, model.users.factors, model.items.bias, model.items.factors)
    return (model.mean, *(part.tobytes() for part in parts))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_same_ratings_give_the_same_model(n_threads, monkeypatch):
    """To the last bit, on one thread and on two, whatever order they came in."""
    data, *_ = made_by_a_model(n_users=3_000, n_items=150, share=0.1)
    order = np.random.default_rng(1).permutation(len(data.rating))
    shuffled = Ratings(data.user_row[order], data.item_row[order], data.rating[order], 20.0)
    monkeypatch.setattr("batch.ratings.users._CHUNK", 500)  # more chunks than threads
    found = train_ratings(shuffled, 3_000, 150, **HOW, n_threads=n_threads)
    with threadpool_limits(n_threads, "blas"):
        again = train_ratings(data, 3_000, 150, **HOW, n_threads=3)
    assert as_bytes(found) == as_bytes(again)


def test_chunks_of_users_make_no_difference(monkeypatch):
    """Sums over many chunks are the sums over one, but for their last digits."""
    data, *_ = made_by_a_model(n_users=100, n_items=50)
    whole = train_ratings(data, 100, 50, **HOW)
    monkeypatch.setattr("batch.ratings.users._CHUNK", 7)
    parts = train_ratings(data, 100, 50, **HOW)
    pairs = data.user_row, data.item_row
    assert parts.predict(*pairs) == pytest.approx(whole.predict(*pairs), abs=1e-4)


# --- hard data ------------------------------------------------------------------------------


def test_of_very_many_ratings_a_part_teaches_nearly_as_much(monkeypatch):
    """A third of the users make the sweeps, one more is over all: everybody is predicted."""
    data, *_ = made_by_a_model(n_users=3000)
    whole = rmse(data, 3000, 200, n_factors=3)
    monkeypatch.setattr("batch.ratings.train._MOST", len(data.rating) // 3)
    part = rmse(data, 3000, 200, n_factors=3)
    assert part == pytest.approx(whole, rel=0.03)
    assert part != whole


def test_the_lot_draws_as_many_users_as_have_the_ratings_wanted():
    """All where there are not more, one at least, others for another seed."""
    n_ratings = np.full(100, 7)
    assert sample_users(n_ratings, 700, seed=1).all()
    assert sample_users(n_ratings, 699, seed=1).sum() == 99
    assert sample_users(n_ratings, 70, seed=1).sum() == 10
    assert sample_users(n_ratings, 1, seed=1).sum() == 1
    one, two = (sample_users(n_ratings, 350, seed=seed) for seed in (1, 2))
    assert (one != two).any()


def test_without_ratings_there_is_no_model():
    """No ratings, no mean of nothing, and nothing to measure."""
    assert train_ratings(ratings(), 2, 2, **HOW) is None
    assert measure_ratings(ratings(), 2, 2, **HOW) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_ratings_that_are_not_finite_are_refused(value):
    """One NaN would make everything NaN: it is an error that counts them."""
    data = ratings(*((row, row, 4) for row in range(9)), (0, 1, value))
    with pytest.raises(BatchError, match="ratings: 1 of 10 numbers are NaN or infinite"):
        train_ratings(data, 9, 9, **HOW)


HARD = {
    "one rating": [(0, 0, 4)],
    "one user": [(0, item, 1 + item % 5) for item in range(20)],
    "one item": [(user, 0, 1 + user % 5) for user in range(20)],
    "all the same": [(user, item, 3) for user in range(20) for item in range(20)],
    "two ends": [(user, item, 1 + 4 * (user % 2)) for user in range(20) for item in range(20)],
    "negative and huge": [(0, 0, -1e6), (0, 1, 1e6), (1, 0, 3), (1, 1, 1e6)],
    "one user with everything": [(0, item, 1 + item % 5) for item in range(2_000)] + [(1, 0, 5)],
}


@pytest.mark.parametrize("rows", HARD.values(), ids=HARD.keys())
def test_hard_data_still_gives_sound_predictions(rows):
    """However lopsided: every prediction is a number on the scale, without a warning."""
    data = ratings(*rows)
    n_users, n_items = data.user_row.max() + 2, data.item_row.max() + 2
    model = train_ratings(data, n_users, n_items, **HOW)
    every = model.predict(*(rows.ravel() for rows in np.indices((n_users, n_items))))
    assert np.isfinite(every).all()
    assert model.scale.lowest <= every.min() <= every.max() <= model.scale.highest


def test_data_without_noise_does_not_divide_by_it():
    """However long the sweeps go on: the noise is never learned to be nothing at all."""
    model = train_ratings(ratings(*HARD["two ends"]), 20, 20, **HOW, iterations=100)
    assert model.predict(np.array([0, 1]), np.array([0, 0])) == pytest.approx([1, 5], abs=0.01)


def test_all_the_same_is_predicted_so():
    """Where everybody gives a 3, a 3 is predicted, to newcomers too."""
    model = train_ratings(ratings(*HARD["all the same"]), 21, 21, **HOW)
    every = model.predict(*(rows.ravel() for rows in np.indices((21, 21))))
    assert every == pytest.approx(np.full(441, 3.0), abs=0.01)


# --- measuring ------------------------------------------------------------------------------


def test_folds_deal_every_rating_out_once():
    """No rating is in the train and the test of a fold, and each is in one test."""
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


def test_misses_are_told_from_what_was_held_out():
    """The figures for the manifest are near the noise, and above what training itself shows."""
    data, *_ = made_by_a_model()
    found = measure_ratings(data, 500, 200, **HOW)
    itself = misses(train_ratings(data, 500, 200, **HOW), data).rmse
    assert itself < 0.3 < found["rating_rmse"] < 0.36
    assert found["rating_mae"] == pytest.approx(found["rating_rmse"] * np.sqrt(2 / np.pi), rel=0.05)
    assert found["rating_rmse_of_biases"] > 3 * found["rating_rmse"]


def test_very_many_ratings_are_measured_on_users_drawn_by_lot(monkeypatch):
    """A bound on the ratings bounds the time; whole users are taken, so the figure stays near."""
    data, *_ = made_by_a_model()
    everything = measure_ratings(data, 500, 200, **HOW)["rating_rmse"]
    sizes = []
    monkeypatch.setattr("batch.ratings.measure._MOST", len(data.rating) // 2)
    monkeypatch.setattr(
        "batch.ratings.measure.train_ratings",
        lambda train, *args, **how: (
            sizes.append(len(train.rating)) or train_ratings(train, *args, **how)
        ),
    )
    assert measure_ratings(data, 500, 200, **HOW)["rating_rmse"] == pytest.approx(
        everything, rel=0.1
    )
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
def test_real_ratings_are_predicted_well(shared_data, name, delimiter, n_ratings, limits):
    """RMSE and MAE over 5 folds; SVD++ has 0.919 on ML-100k, users' and items' biases 0.944."""
    data = movielens(shared_data / name, delimiter)
    assert len(data.rating) == n_ratings
    rows = data.user_row.max() + 1, data.item_row.max() + 1
    found = [
        misses(train_ratings(fold.train, *rows, **HOW), fold.test) for fold in folds(data, 5, 42)
    ]
    assert (np.mean(found, axis=0) <= limits).all(), np.mean(found, axis=0)
