"""New items: features of content, the ridge, and vectors for what nobody has had."""

import dataclasses
from collections import Counter

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
from batch.models.auto import Auto
from batch.models.factors import FittedFactors
from batch.records.catalogue import Item

NOTHING = Item(None, None, (), None, None)


def told(*genres, overview=None, year=None, language=None):
    return Item(None, year, genres, None, None, overview, language)


# Features


def test_same_content_is_the_same_row():
    one, same, other = (told("Drama", year=1990), told("drama", year=1990), told("War", year=1950))
    rows = features_of([one, same, other]).toarray()
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_a_genre_counts_as_much_as_all_words_together():
    rows = features_of([told("War"), *[told(overview="one battle")] * 3, told(overview="peace")])
    assert np.linalg.norm(rows.toarray(), axis=1)[:4] == pytest.approx(1)


def test_near_years_share_more_than_far_ones():
    rows = features_of([told("a", year=year) for year in (1990, 1994, 1960)]).toarray()
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_words_of_three_items_count_and_lone_ones_do_not():
    overviews = ["heist in paris", "heist in lyon", "Heist!", *["something else"] * 3]
    overviews += [f"film{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    rows = features_of([told(overview=text) for text in overviews]).toarray()
    assert np.linalg.norm(rows, axis=1)[:6] == pytest.approx(1)  # together as one genre
    assert not rows[6:].any()  # words that only one item has
    assert rows[0] @ rows[1] == pytest.approx(1)
    assert rows[0] @ rows[3] == 0


def test_order_of_the_items_changes_no_column():
    items = [told("a", "b", year=1990, overview="one two three"), told("b", language="en"), NOTHING]
    rows, back = features_of(items * 3), features_of((items * 3)[::-1])
    assert np.array_equal(rows.toarray(), back.toarray()[::-1])


@pytest.mark.parametrize(
    "item",
    [None, NOTHING, told(year=1990), told(language="en")],
    ids=["none", "nothing", "year", "language"],
)
def test_year_and_language_alone_are_no_content(item):
    assert not has_content(item)


@pytest.mark.parametrize("item", [told("Drama"), told(overview="A film.")], ids=["genre", "words"])
def test_genre_or_overview_is_content(item):
    assert has_content(item)


@pytest.mark.parametrize(
    "items",
    [[], [None], [NOTHING] * 3, [told(year=1), told(year=9999), told(overview="!?" * 9)]],
    ids=["none", "unknown", "empty", "odd"],
)
def test_features_of_little_are_finite(items):
    rows = features_of(items)
    assert rows.shape[0] == len(items)
    assert np.isfinite(rows.toarray()).all()


# The ridge


def linear(n=400, n_features=12, noise=0.1, seed=0):
    """Return features, vectors that follow from them but for noise, and the true map."""
    rng = np.random.default_rng(seed)
    features = sp.random_array((n, n_features), density=0.4, rng=rng, format="csr")
    truth = rng.normal(size=(n_features, 5))
    return sp.csr_matrix(features), features @ truth + 3 + noise * rng.normal(size=(n, 5)), truth


def test_ridge_is_the_closed_form():
    """Against augmented least squares, of weighted and centred rows."""
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


def test_what_features_tell_is_explained():
    features, vectors, truth = linear(n=4000, noise=0.01)
    ridge = learn_ridge(features, vectors, np.ones(len(vectors)), seed=0)
    assert ridge.explained > 0.99
    assert ridge.regularization == 1
    assert ridge.coefficients == pytest.approx(truth, abs=0.05)


def test_noise_is_shrunk_away():
    """Where features say nothing, all rows get nearly the mean."""
    features, _, _ = linear()
    vectors = np.random.default_rng(3).normal(5, 1, (400, 5))
    ridge = learn_ridge(features, vectors, np.ones(400), seed=0)
    assert ridge.explained < 0.05
    assert ridge.regularization == 300
    assert ridge(features) == pytest.approx(np.tile(vectors.mean(axis=0), (400, 1)), abs=0.3)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_rows_are_enough(n):
    features, vectors, _ = linear()
    ridge = learn_ridge(features[:n], vectors[:n], np.ones(n), seed=0)
    assert np.isfinite(ridge(features)).all()


def test_threads_change_no_bit():
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


def test_further_items_are_rows_between_the_others():
    """Ids stay in order; weights and ratings move along; what is there already is not doubled."""
    before = interactions([[1, 0], [0.5, 2]], ["b", "d"])
    after = with_items(before, {"a", "c", "d"})
    assert after.item_ids.to_pylist() == ["a", "b", "c", "d"]
    assert after.weights.toarray().tolist() == [[0, 1, 0, 0], [0, 0.5, 0, 2]]
    assert after.ratings.item_row.tolist() == [1, 3]
    assert before.weights.shape == (2, 2)
    assert after.weights.indices.dtype == np.int32  # implicit takes no other


def test_only_items_with_content_become_rows():
    items = {"i0000": told("Drama"), "new": told("War"), "bare": NOTHING}
    assert with_new_items(interactions(np.eye(2)), items).item_ids.to_pylist()[-1] == "new"
    assert len(with_new_items(interactions(np.eye(2)), items).item_ids) == 3


@pytest.mark.parametrize(
    "items",
    [{}, {"new": told("War")}, {"i0000": told("War"), "bare": NOTHING}],
    ids=["no catalogue", "known ones without content", "new ones without content"],
)
def test_without_content_nothing_changes(items):
    before = interactions(np.eye(2))
    assert with_new_items(before, items) is before


@pytest.fixture(scope="module")
def two_tastes():
    """400 users of two tastes, 80 items of two genres, and a new item of each genre."""
    rng = np.random.default_rng(0)
    taste, genre = np.arange(400) % 2, np.arange(80) % 2
    weights = rng.random((400, 80)) < np.where(taste[:, None] == genre, 0.3, 0.02)
    items = {f"i{row:04}": told(("War", "Love")[row % 2]) for row in range(80)}
    items |= {"new-love": told("Love"), "new-war": told("War")}
    return with_new_items(interactions(weights), items), items


def test_new_items_lie_with_their_genre(two_tastes):
    made, items = two_tastes
    fitted = Auto(Als(n_factors=8, seed=1, n_held_out=20_000)).fit(made.weights)
    filled = with_expected_vectors(fitted, made, items, 8, seed=1)
    taste = filled.item_factors[:, :8] / np.linalg.norm(filled.item_factors[:, :8], axis=1)[:, None]
    love, war = (made.item_ids.index(name).as_py() for name in ("new-love", "new-war"))
    for row, its_genre in ((love, 1), (war, 0)):
        nearest = np.argsort(-(taste @ taste[row]))
        nearest = [n for n in nearest if n < 80][:10]
        assert {n % 2 for n in nearest} == {its_genre}
    assert filled.about["new_items"] == 2
    assert filled.about["new_items_explained"] > 0.2
    assert not filled.item_factors[[love, war], 8].any()  # no popularity
    assert np.array_equal(filled.item_factors[:80], fitted.item_factors[:80])
    assert not fitted.item_factors[[love, war]].any()  # which were nothing before


def test_vectors_are_no_longer_than_those_of_their_like(two_tastes):
    """Ridge shrinks: a new item is not to push the known ones out of the lists."""
    made, items = two_tastes
    fitted = Als(n_factors=8, seed=1).fit(made.weights)
    filled = with_expected_vectors(fitted, made, items, 8, seed=1)
    lengths = np.linalg.norm(filled.item_factors, axis=1)
    assert 0 < lengths[80:].min() <= lengths[80:].max() < lengths[:80].max()


def test_known_items_alone_leave_the_model(two_tastes):
    made, items = two_tastes
    known = dataclasses.replace(
        made, item_ids=made.item_ids.slice(0, 80), weights=made.weights[:, :80]
    )
    fitted = FittedFactors(np.ones((400, 2)), np.ones((80, 2)), known.weights, lambda w: w)
    assert with_expected_vectors(fitted, known, items, 2, seed=1) is fitted
