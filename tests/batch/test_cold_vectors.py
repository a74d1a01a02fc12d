"""Vectors from outside in the cold start: features, the choice of a kind, the choice of weights."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.cold_start.new_items import with_expected_vectors
from batch.cold_start.preference_lists import PreferenceInputs, make_preference_lists
from batch.cold_start.projection import learn_projection
from batch.interactions.build import Interactions, Ratings
from batch.models.als import Als
from batch.models.factors import FittedFactors
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.records.read import RecordFile
from batch.records.vectors import OutsideVectors

NO_ROWS = np.array([], np.int64)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def outside(owner, ids, vectors):
    source = RecordFile(Path("v"), f"{owner} vectors", len(ids), 0)
    return OutsideVectors(pa.array(ids), np.asarray(vectors, np.float32), {}, source)


def interactions(weights):
    weights = sp.csr_matrix(np.asarray(weights, np.float32))
    user_ids, item_ids = ([f"{n:04}" for n in range(size)] for size in weights.shape)
    ratings = Ratings(NO_ROWS, NO_ROWS, NO_ROWS.astype(np.float32), 5.0)
    return Interactions(pa.array(user_ids), pa.array(item_ids), weights, ratings, Counter(), 0)


# Features


@pytest.mark.parametrize("length", [1, 20, 300])
def test_features_depend_on_the_direction_alone(length):
    vectors = normal((500, length)) + 3
    scaled = vectors * np.random.default_rng(1).uniform(1e-9, 1e9, (500, 1)).astype(np.float32)
    projection = learn_projection(vectors, seed=0)
    assert projection(scaled) == pytest.approx(projection(vectors), abs=1e-4)


@pytest.mark.parametrize("shape", [(500, 20), (500, 300), (40, 300)])
def test_features_are_centred_with_a_mean_length_of_1(shape):
    features = learn_projection(normal(shape) + 3, seed=0)(normal(shape) + 3)
    assert features.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert 0.6 < np.sqrt((features**2).sum(axis=1).mean()) < 1.001
    assert features.shape[1] <= 128


def test_long_vectors_keep_their_principal_components():
    """300 numbers that depend on 5: distances stay as they are."""
    vectors = normal((400, 5)) @ normal((5, 300), seed=1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    features = learn_projection(vectors, seed=0)(vectors)
    found, expected = (np.linalg.norm(rows[:200] - rows[200:], axis=1) for rows in (features, unit))
    assert found / found.mean() == pytest.approx(expected / expected.mean(), rel=1e-3)


@pytest.mark.parametrize(
    "vectors",
    [np.ones((9, 4)), np.zeros((9, 4)), np.ones((1, 4)), np.full((9, 300), 3e38)],
    ids=["equal", "zeros", "one", "long and large"],
)
def test_vectors_without_information_have_features_of_0(vectors):
    vectors = vectors.astype(np.float32)
    assert learn_projection(vectors, seed=0)(vectors) == pytest.approx(0, abs=1e-3)


def test_threads_change_no_bit_of_the_features():
    vectors = normal((2000, 500))
    found = []
    for n_threads in (1, 4):
        with threadpool_limits(n_threads):
            found.append(learn_projection(vectors, seed=0)(vectors).tobytes())
    assert found[0] == found[1]


# Items

N_ITEMS, N_NEW = 400, 40
GENRES = np.random.default_rng(5).integers(0, 2, (N_ITEMS, 6))
VECTORS = normal((N_ITEMS, 8), seed=6)


def expected_items(genre_part, vector_part, *, noise=0, content=None, vectors=None):
    """Return the model with vectors for the last 40 items, and the truth of all items.

    Args:
        genre_part, vector_part: Share of the truth that depends on genres, and on vectors.
        noise: Share that depends on nothing.
        content, vectors: Item rows that have a genre, and a vector; None: all.
    """
    truth = genre_part * GENRES @ normal((6, 4), seed=7) + vector_part * VECTORS @ normal((8, 4), 8)
    truth = truth + noise * normal((N_ITEMS, 4), seed=9)
    learned = truth.astype(np.float32)
    learned[-N_NEW:] = 0
    weights = np.ones((30, N_ITEMS), np.float32)
    weights[:, -N_NEW:] = 0
    made = interactions(weights)
    has_genre, has_vector = (
        range(N_ITEMS) if rows is None else rows for rows in (content, vectors)
    )
    items = {
        f"{row:04}": Item(
            None, None, tuple(f"g{g}" for g in np.flatnonzero(GENRES[row])), None, None
        )
        if row in has_genre
        else Item("A title", None, (), None, None)
        for row in range(N_ITEMS)
    }
    given = outside("item", [f"{row:04}" for row in has_vector], VECTORS[list(has_vector)])
    fitted = FittedFactors(normal((30, 4)), learned, made.weights, lambda _: normal((30, 4)))
    n_users = users_of_items(made.weights)
    return with_expected_vectors(fitted, made.item_ids, n_users, items, 1, given), truth


def explained(fitted, truth, rows):
    error = ((fitted.item_factors[rows] - truth[rows]) ** 2).sum()
    return 1 - error / ((truth[rows] - truth.mean(axis=0)) ** 2).sum()


NEW = np.arange(N_ITEMS - N_NEW, N_ITEMS)


KINDS = ("content", "vectors", "both")


@pytest.mark.parametrize(
    ("genre_part", "vector_part", "poor"),
    [(1, 0, ["vectors"]), (0, 1, ["content"]), (1, 1, ["content", "vectors"])],
)
def test_kind_that_explains_most_is_chosen(genre_part, vector_part, poor):
    """It is never one that lacks what the vectors depend on."""
    fitted, truth = expected_items(genre_part, vector_part)
    shares = {kind: fitted.about[f"new_items_explained_by_{kind}"] for kind in KINDS}
    best = max(shares, key=shares.__getitem__)
    assert best not in poor
    assert fitted.about[f"new_items_by_{best}"] == N_NEW
    assert fitted.about["new_items_explained"] == pytest.approx(shares[best], abs=0.05)
    assert explained(fitted, truth, NEW) > 0.7


def test_content_is_kept_where_no_kind_explains_anything():
    fitted, _ = expected_items(0, 0, noise=1)
    assert max(fitted.about[f"new_items_explained_by_{kind}"] for kind in KINDS) < 0.02
    assert fitted.about["new_items_by_content"] == N_NEW


def test_new_item_without_the_best_kind_gets_its_vector_by_another():
    """Some lack a vector, some a genre."""
    no_vector, no_genre = NEW[:15], NEW[15:30]
    fitted, truth = expected_items(
        1,
        1,
        content=np.setdiff1d(np.arange(N_ITEMS), no_genre),
        vectors=np.setdiff1d(np.arange(N_ITEMS), no_vector),
    )
    counts = [fitted.about[f"new_items_by_{kind}"] for kind in KINDS]
    assert counts == [15, 15, 10]
    assert fitted.about["new_items"] == N_NEW
    assert explained(fitted, truth, NEW[30:]) > 0.7
    assert explained(fitted, truth, no_vector) > 0.1
    assert explained(fitted, truth, no_genre) > 0.1


# Users

N_USERS, N_NEW_USERS = 600, 60


@pytest.fixture(scope="module")
def people():
    """Return interactions of 600 users with factors of their own, a model, and all 660 factors."""
    truth, items = normal((N_USERS + N_NEW_USERS, 3)), normal((80, 3), seed=1)
    scores = truth[:N_USERS] @ items.T + normal((N_USERS, 80), seed=2)
    made = interactions(scores >= np.sort(scores, axis=1)[:, [-12]])
    return made, Als(n_factors=8, seed=1).fit(made.weights), truth, truth @ items.T


def lists_of(people, vectors, likes=None, **further):
    made, fitted, truth, _ = people
    ids = [f"{row:04}" for row in range(len(truth))]
    profiles = {name: Profile(None, None, None, text) for name, text in (likes or {}).items()}
    items = {name: Item(f"Silent Harbor Number{name}", None, (), None, name == "0007")
             for name in made.item_ids.to_pylist()}  # fmt: skip
    inputs = PreferenceInputs(
        made, items, profiles, [[]] * 80,
        user_vectors=None if vectors is None else outside("user", ids, vectors), **further,
    )  # fmt: skip
    return make_preference_lists(inputs, fitted, 20)


def mean_true_rank(people, lists):
    """Return the mean share of items that new users truly prefer to those of their lists."""
    ranks = np.argsort(np.argsort(-people[3], axis=1), axis=1) / 80
    rows = [int(user_id) for user_id in lists.user_ids]
    return float(np.take_along_axis(ranks[rows], lists.item_rows.astype(np.int64), 1).mean())


def test_every_new_user_has_a_list_near_the_truth(people):
    lists = lists_of(people, people[2] @ normal((3, 20), seed=3) + 1)
    assert lists.user_ids == [f"{row:04}" for row in range(N_USERS, N_USERS + N_NEW_USERS)]
    assert mean_true_rank(people, lists) < 0.25
    assert lists.about["user_vectors_ndcg"] > 1.2 * lists.about["user_vectors_fallback_ndcg"]


def test_vectors_are_not_used_where_the_segments_are_as_good(people):
    """The twin: a fallback as good as the truth cannot be beaten."""
    best = np.argsort(-people[3], axis=1)[:, :20]
    profiles = {f"{row:04}": Profile(None, "X" * (row // 26 + 1) + chr(65 + row % 26), None)
                for row in range(N_USERS)}  # fmt: skip
    by_segment = {
        profile.gender or "": best[int(name)].tolist() for name, profile in profiles.items()
    }
    made, fitted, truth, _ = people
    ids = [f"{row:04}" for row in range(len(truth))]
    inputs = PreferenceInputs(
        made, {}, profiles, [[]] * 80, by_segment=by_segment,
        user_vectors=outside("user", ids, truth @ normal((3, 20), seed=3)),
    )  # fmt: skip
    lists = make_preference_lists(inputs, fitted, 20)
    assert not lists.user_ids
    assert lists.about["user_vectors_weight"] == 0
    assert lists.about["user_vectors_fallback_ndcg"] > 0.5


def test_vector_beside_likes_counts_where_it_says_more(people):
    """Users who name one item have better lists with a vector, and without it as before."""
    likes = {
        f"{row:04}": f"I love Silent Harbor Number{np.argmax(people[3][row]):04}."
        for row in range(N_USERS, N_USERS + N_NEW_USERS)
    }
    alone = lists_of(people, None, likes)
    both = lists_of(people, people[2] @ normal((3, 20), seed=3), likes)
    assert both.about["user_vectors_weight_beside_items"] > 0
    assert mean_true_rank(people, both) < 0.9 * mean_true_rank(people, alone)


def test_minor_with_a_vector_has_no_adult_title(people):
    """Item 0007 is adult; without the rule it is in some list."""
    vectors = people[2] @ normal((3, 20), seed=3)
    everyone = lists_of(people, vectors, is_minor=lambda profile: False)
    minors = lists_of(people, vectors, is_minor=lambda profile: True)
    assert 7 in everyone.item_rows
    assert 7 not in minors.item_rows
    assert len(minors.user_ids) == N_NEW_USERS
