"""Candidates and their features: merged lists, and neighbours of the latest items."""

from collections import Counter

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from batch.interactions.build import Interactions, Ratings
from batch.models.item_knn import ItemKnn
from batch.models.popularity import Popularity
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.second_stage.candidates import DEPTHS, merge
from batch.second_stage.features import NAMES, Features
from batch.second_stage.latest_items import LatestItems
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import DAY_SECONDS, Past
from batch.second_stage.periods import Periods, last_periods
from batch.second_stage.sources import fit_sources
from batch.topk import NO_ITEM, TopK
from batch.unavailable import Unavailable
from tests.batch.made_periods import N_ITEMS, trending, unrelated
from tests.batch.made_weights import some_weights

MODEL, RECENT = list(DEPTHS).index("model"), list(DEPTHS).index("recent")


def lists_of(*item_rows):
    """Return lists with falling scores."""
    rows = np.array(item_rows, np.int32)
    scores = np.where(rows == NO_ITEM, -np.inf, -np.arange(rows.shape[1])).astype(np.float32)
    return TopK(rows, scores)


def past_of(made):
    return Past(made.weights, made.at)


def interactions_of(weights) -> Interactions:
    none = Ratings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 5.0)
    user_ids, item_ids = (pa.array([str(row) for row in range(n)]) for n in weights.shape)
    return Interactions(user_ids, item_ids, weights, none, Counter(), 0)


def test_metadata_are_arrays_with_nan_where_a_field_is_unknown():
    made = interactions_of(sp.csr_matrix(np.ones((3, 2), np.float32)))
    items = {"0": Item("A", 1999, ("War", "Drama"), 90, None, cost=0.5)}
    profiles = {"0": Profile(28, "F", None), "2": Profile(28, "F", "writer")}
    metadata = Metadata.of(made, items, profiles)
    assert metadata.genres.tolist() == [[0.5, 0.5], [0, 0]]
    assert metadata.numbers[0].tolist() == [1999, 90, 0.5]
    assert np.isnan(metadata.numbers[1]).all()
    assert metadata.profiles[[0, 2]].tolist() == [[28, 0], [28, 0]]
    assert np.isnan(metadata.profiles[1]).all()
    assert metadata.segment.tolist() == [0, 1, 0]
    assert metadata.n_segments == 2


def test_any_number_of_genders_and_genres_makes_few_segments_and_columns():
    made = interactions_of(sp.csr_matrix(np.ones((500, 300), np.float32)))
    items = {str(row): Item("A", None, (f"genre {row}",), None, None) for row in range(300)}
    profiles = {str(row): Profile(30, f"G{row}", None) for row in range(500)}
    metadata = Metadata.of(made, items, profiles)
    assert metadata.genres.shape == (300, 32)
    assert metadata.n_segments == 33
    assert metadata.segment.max() == 32


def test_merged_lists_have_each_item_once_with_the_ranks_of_its_sources():
    model, recent = lists_of([7, 3, 5], [2, NO_ITEM, NO_ITEM]), lists_of([3, 9], [2, 4])
    merged = merge({"model": model, "recent": recent}, 10)
    assert set(merged.item_rows[0].tolist()) - {NO_ITEM} == {3, 5, 7, 9}
    assert merged.item_rows[1, :2].tolist() == [2, 4]
    place = merged.item_rows[0].tolist().index(3)
    assert merged.ranks[0, place, MODEL] == 2
    assert merged.ranks[0, place, RECENT] == 1
    only = merged.item_rows[0].tolist().index(9)
    assert np.isnan(merged.ranks[0, only, MODEL])
    assert merged.ranks[0, only, RECENT] == 2


def test_too_many_proposals_keep_the_best_ranks_of_each_source():
    model, recent = lists_of(range(20)), lists_of([100, 101, 102, 103])
    kept = merge({"model": model, "recent": recent}, 6).item_rows[0].tolist()
    assert sorted(kept) == [0, 1, 2, 3, 4, 100]


def test_latest_items_rank_as_a_full_sort_does():
    """Scores of all neighbours, summed and sorted, without seen and hidden items."""
    made = unrelated()
    similarity = sp.csr_matrix(ItemKnn(10).fit(made.weights).item_item)
    past, hidden = past_of(made), frozenset((0, 1))
    lists = LatestItems(similarity, past, 3).top_k(5, hidden=hidden, n_threads=2)
    scores = (past.latest(3) @ similarity).toarray()
    scores[made.weights.nonzero()] = 0
    scores[:, list(hidden)] = 0
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    best = np.take_along_axis(scores, expected, axis=1)
    assert (lists.item_rows == np.where(best > 0, expected, NO_ITEM)).all()
    assert (lists.scores[best > 0] == best[best > 0]).all()


def test_latest_items_are_those_of_the_last_times():
    weights = sp.csr_matrix(np.array([[1, 1, 1, 0], [0, 0, 1, 1]], np.float32))
    past = Past(weights, np.array([30, 10, 20, 5, 0]))
    assert past.latest(2).toarray().tolist() == [[1, 0, 1, 0], [0, 0, 1, 1]]
    assert past.latest(1).toarray().tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert Past(weights, None).latest(1) is weights


def test_sources_without_times_profiles_or_genres_are_left_out():
    made = trending()
    model = Popularity().fit(made.weights)
    assert set(fit_sources(model, past_of(made), made.metadata, 1)) == set(DEPTHS)
    bare = made.metadata.of_users(np.arange(500))
    bare = type(bare)(bare.genres[:, :0], bare.numbers, bare.profiles, 0 * bare.segment, 1)
    found = fit_sources(model, Past(made.weights, None), bare, 1)
    assert set(found) == {"model", "popularity", "item_knn"}


def test_features_show_trend_and_affinities():
    """New items of the user's genres have a trend, and a positive affinity of user and segment."""
    made = trending()
    features = Features.of(past_of(made), made.metadata)
    # User 0 watches genres 0 and 2. Item 180 is new and of genre 0, item 181 of genre 1.
    candidates = merge({"model": lists_of([180, 181, 60])}, 5)
    table = dict(zip(NAMES, features(np.array([0]), candidates).T, strict=True))
    assert len(table["trend"]) == 3  # empty places have no features
    assert table["trend"][0] > table["trend"][2]
    assert table["age"][0] < 2 < table["age"][2]
    assert table["genre_affinity"][0] > 0.2 > table["genre_affinity"][1]
    assert table["segment_genres"][0] > 0 > table["segment_genres"][1]
    assert np.isnan(table["runtime"]).all()


def test_periods_are_the_last_two_days_or_weeks():
    made = unrelated()
    periods = last_periods(made.weights, made.at)
    assert isinstance(periods, Periods)
    assert periods.seconds == DAY_SECONDS
    assert periods.newest.train.nnz > periods.previous.train.nnz
    few = last_periods(some_weights(), None)
    assert isinstance(few, Unavailable)
    assert few.reason == "the events have no times"
    assert made.weights.shape[1] == N_ITEMS
