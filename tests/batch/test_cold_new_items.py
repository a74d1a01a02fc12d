"""New items: features of content, ridge regression, and vectors of items without users."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.cold_start.item_features import features_of, has_content
from batch.cold_start.new_items import with_expected_vectors, with_new_items
from batch.cold_start.ridge import learn_ridge
from batch.interactions.build import Interactions, Ratings, with_items
from batch.models.als import Als
from batch.models.factors import FittedFactors
from batch.models.ials import Ials
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item

UNLISTED = Item(None, None, (), None, None)


def described(*genres, overview=None, year=None, language=None):
    return Item(None, year, genres, None, None, overview, language)


# Features


def test_equal_content_gives_equal_rows():
    one, same, other = (
        described("Drama", year=1990),
        described("drama", year=1990),
        described("War", year=1950),
    )
    rows = features_of([one, same, other]).toarray()
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_genre_has_the_weight_of_all_words_together():
    rows = features_of(
        [described("War"), *[described(overview="one battle")] * 3, described(overview="peace")]
    )
    assert np.linalg.norm(rows.toarray(), axis=1)[:4] == pytest.approx(1)


def test_close_years_share_more_than_distant_ones():
    rows = features_of([described("a", year=year) for year in (1990, 1994, 1960)]).toarray()
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_only_words_of_three_or_more_items_are_features():
    overviews = ["heist in paris", "heist in lyon", "Heist!", *["something else"] * 3]
    overviews += [f"film{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    rows = features_of([described(overview=text) for text in overviews]).toarray()
    assert np.linalg.norm(rows, axis=1)[:6] == pytest.approx(1)  # the length of one genre
    assert not rows[6:].any()  # words that only one item has
    assert rows[0] @ rows[1] == pytest.approx(1)
    assert rows[0] @ rows[3] == 0


def test_item_order_changes_no_column():
    items = [
        described("a", "b", year=1990, overview="one two three"),
        described("b", language="en"),
        UNLISTED,
    ]
    rows, reversed_rows = features_of(items * 3), features_of((items * 3)[::-1])
    assert np.array_equal(rows.toarray(), reversed_rows.toarray()[::-1])


@pytest.mark.parametrize(
    "item",
    [None, UNLISTED, described(year=1990), described(language="en")],
    ids=["none", "unlisted", "year", "language"],
)
def test_year_or_language_alone_is_not_content(item):
    assert not has_content(item)


@pytest.mark.parametrize(
    "item", [described("Drama"), described(overview="A film.")], ids=["genre", "words"]
)
def test_genre_or_overview_is_content(item):
    assert has_content(item)


@pytest.mark.parametrize(
    "items",
    [
        [],
        [None],
        [UNLISTED] * 3,
        [described(year=1), described(year=9999), described(overview="!?" * 9)],
    ],
    ids=["none", "unknown", "empty", "odd"],
)
def test_features_of_sparse_content_are_finite(items):
    rows = features_of(items)
    assert rows.shape[0] == len(items)
    assert np.isfinite(rows.toarray()).all()


def expected(fitted, made, items):
    """Return the model with vectors for items without users."""
    return with_expected_vectors(fitted, made.item_ids, users_of_items(made.weights), items, seed=1)


# Ridge regression


def linear(n=400, n_features=12, noise=0.1, seed=0):
    """Return features, vectors that are a linear map of them plus noise, and the map."""
    rng = np.random.default_rng(seed)
    values: Any = sp.random_array((n, n_features), density=0.4, rng=rng, format="csr")
    truth = rng.normal(size=(n_features, 5))
    features = sp.csr_matrix(values)
    return features, values @ truth + 3 + noise * rng.normal(size=(n, 5)), truth


def test_ridge_is_the_augmented_least_squares_solution():
    """Of weighted and centred rows."""
    features, vectors, _ = linear()
    weights = np.random.default_rng(1).uniform(0.1, 1, len(vectors))
    ridge = learn_ridge(features, vectors, weights, seed=0)
    dense, root = features.toarray(), np.sqrt(weights)[:, None]
    centred = dense - weights @ dense / weights.sum()
    targets = vectors - weights @ vectors / weights.sum()
    penalty = np.sqrt(ridge.regularization) * np.eye(dense.shape[1])
    expected, *_ = np.linalg.lstsq(
        np.vstack((root * centred, penalty)),
        np.vstack((root * targets, np.zeros((dense.shape[1], 5)))),
    )
    assert ridge.coefficients == pytest.approx(expected, abs=1e-9)
    assert weights @ (ridge(features) - vectors) == pytest.approx(0, abs=1e-8)  # and the offset


def test_linear_vectors_are_explained():
    features, vectors, truth = linear(n=4000, noise=0.01)
    ridge = learn_ridge(features, vectors, np.ones(len(vectors)), seed=0)
    assert ridge.explained > 0.99
    assert ridge.regularization == 1
    assert ridge.coefficients == pytest.approx(truth, abs=0.05)


def test_unrelated_vectors_are_shrunk_to_the_mean():
    features, _, _ = linear()
    vectors = np.random.default_rng(3).normal(5, 1, (400, 5))
    ridge = learn_ridge(features, vectors, np.ones(400), seed=0)
    assert ridge.explained < 0.05
    assert ridge.regularization == 300
    assert ridge(features) == pytest.approx(np.tile(vectors.mean(axis=0), (400, 1)), abs=0.3)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_rows_can_be_fitted(n):
    features, vectors, _ = linear()
    ridge = learn_ridge(features[:n], vectors[:n], np.ones(n), seed=0)
    assert np.isfinite(ridge(features)).all()


def test_number_of_threads_changes_no_bit():
    features, vectors, _ = linear(n=2000, n_features=300)
    weights = np.ones(len(vectors))
    found = []
    for n_threads in (1, 4):
        with threadpool_limits(n_threads):
            found.append(learn_ridge(features, vectors, weights, seed=0).coefficients.tobytes())
    assert found[0] == found[1]


# Vectors


def interactions(weights, item_ids=None):
    weights = sp.csr_matrix(np.asarray(weights, np.float32))
    n_users, n_items = weights.shape
    return Interactions(
        pa.array([f"u{row:04}" for row in range(n_users)]),
        pa.array(item_ids or [f"i{row:04}" for row in range(n_items)]),
        weights,
        Ratings(np.array([0, 1]), np.array([0, 1]), np.array([4, 5], np.float32), 5.0),
        Counter(),
        0,
    )


def test_new_items_get_rows_in_id_order():
    """Weights and ratings keep their items; an item with a row gets no second one."""
    before = interactions([[1, 0], [0.5, 2]], ["b", "d"])
    after = with_items(before, {"a", "c", "d"})
    assert after.item_ids.to_pylist() == ["a", "b", "c", "d"]
    assert after.weights.toarray().tolist() == [[0, 1, 0, 0], [0, 0.5, 0, 2]]
    assert after.ratings.item_row.tolist() == [1, 3]
    assert before.weights.shape == (2, 2)
    assert after.weights.indices.dtype == np.int32  # implicit takes no other


def test_only_items_with_content_become_rows():
    items = {"i0000": described("Drama"), "new": described("War"), "bare": UNLISTED}
    assert with_new_items(interactions(np.eye(2)), items).item_ids.to_pylist()[-1] == "new"
    assert len(with_new_items(interactions(np.eye(2)), items).item_ids) == 3


@pytest.mark.parametrize(
    "items",
    [{}, {"new": described("War")}, {"i0000": described("War"), "bare": UNLISTED}],
    ids=["no catalogue", "known items without content", "new items without content"],
)
def test_interactions_are_unchanged_without_content(items):
    before = interactions(np.eye(2))
    assert with_new_items(before, items) is before


@pytest.fixture(scope="module")
def two_groups():
    """Return interactions of 400 users of two groups with 80 items of two genres, one new each."""
    rng = np.random.default_rng(0)
    group, genre = np.arange(400) % 2, np.arange(80) % 2
    weights = rng.random((400, 80)) < np.where(group[:, None] == genre, 0.3, 0.02)
    items = {f"i{row:04}": described(("War", "Love")[row % 2]) for row in range(80)}
    items |= {"new-love": described("Love"), "new-war": described("War")}
    return with_new_items(interactions(weights), items), items


def test_new_items_are_near_items_of_their_genre(two_groups):
    made, items = two_groups
    fitted = Ials(n_factors=8, seed=1).fit(made.weights)
    filled = expected(fitted, made, items)
    unit = filled.item_factors / np.linalg.norm(filled.item_factors, axis=1)[:, None]
    love, war = (made.item_ids.index(name).as_py() for name in ("new-love", "new-war"))
    for row, its_genre in ((love, 1), (war, 0)):
        order = np.argsort(-(unit @ unit[row])).tolist()
        nearest = [n for n in order if n < 80][:10]
        assert {n % 2 for n in nearest} == {its_genre}
    assert filled.about["new_items"] == 2
    assert filled.about["new_items_explained"] > 0.2
    assert np.array_equal(filled.item_factors[:80], fitted.item_factors[:80])
    assert not fitted.item_factors[[love, war]].any()  # the original is unchanged


def test_new_vectors_are_shorter_than_the_longest_known_one(two_groups):
    """Ridge regression shrinks them, so new items do not displace the known ones."""
    made, items = two_groups
    fitted = Als(n_factors=8, seed=1).fit(made.weights)
    filled = expected(fitted, made, items)
    lengths = np.linalg.norm(filled.item_factors, axis=1)
    assert 0 < lengths[80:].min() <= lengths[80:].max() < lengths[:80].max()


def test_model_without_new_items_is_unchanged(two_groups):
    made, items = two_groups
    known = dataclasses.replace(
        made, item_ids=made.item_ids.slice(0, 80), weights=made.weights[:, :80]
    )
    users, item_factors = np.ones((400, 2), np.float32), np.ones((80, 2), np.float32)
    fitted = FittedFactors(users, item_factors, known.weights, lambda weights: users)
    assert expected(fitted, known, items) is fitted
