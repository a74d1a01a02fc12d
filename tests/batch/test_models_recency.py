"""Models that use times: recent popularity, and the items watched last."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError
from batch.models.choose import recommender
from batch.models.last_items import LastItems
from batch.models.popularity import Popularity
from batch.models.recent_popularity import RecentPopularity
from batch.models.view_order import blocks, order_views
from batch.settings import BatchSettings
from tests.batch.made_weights import some_weights

DAY = 86_400
NOW = 1_700_000_000


def similarity_of(fitted):
    assert isinstance(fitted.item_item, sp.csr_matrix)
    return fitted.item_item


def views(*users):
    """Return weights and times of users given as lists of (item, day) in any order."""
    n_items = 1 + max(item for user in users for item, _ in user)
    rows = [sorted(user) for user in users]
    indptr = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item, _ in row], np.int32)
    days = np.array([day for row in rows for _, day in row], np.float64)
    at = np.where(np.isnan(days), 0, NOW + days * DAY).astype(np.int64)
    ones = np.ones(len(items), np.float32)
    return sp.csr_matrix((ones, items, indptr), shape=(len(users), n_items)), at


def first_items(fitted, k=2):
    return fitted.top_k(k, n_threads=1).item_rows.tolist()


def trend():
    """Item 0 had 30 users a year ago, item 1 has 10 now; a last user has seen neither."""
    return views(*[[(0, -365)]] * 30, *[[(1, 0)]] * 10, [(2, 0)])


def test_an_item_that_is_watched_now_is_above_one_of_last_year():
    """By recent popularity; popularity has them the other way."""
    weights, at = trend()
    assert first_items(RecentPopularity(30).fit(weights, at=at))[-1] == [1, 0]
    assert first_items(Popularity().fit(weights, at=at))[-1] == [0, 1]


def test_a_view_counts_half_after_each_half_life():
    """Scores are the sums of the halves."""
    weights, at = views([(0, 0), (1, -7)], [(0, -14), (1, -21)])
    fitted = RecentPopularity(7).fit(weights, at=at)
    assert fitted.item_factors.ravel().tolist() == [1.25, 0.625]


def test_items_without_recent_users_are_ranked_by_popularity():
    """The minimum of a view keeps them apart, and below any recent item."""
    weights, at = views(*[[(0, -9999)]] * 2, *[[(1, -9000)]] * 3, [(2, 0)], [(3, 0)])
    assert first_items(RecentPopularity(1).fit(weights, at=at), k=3)[-1] == [2, 1, 0]


@pytest.mark.parametrize("times", ["none", "unknown", "no half-life"])
def test_without_ages_recent_popularity_is_popularity(times):
    """The same bytes; with ages they differ."""
    weights, at = trend()
    model = RecentPopularity(0 if times == "no half-life" else 30)
    given = {"none": None, "unknown": 0 * at, "no half-life": at}[times]
    expected = Popularity().fit(weights).item_factors.tobytes()
    assert model.fit(weights, at=given).item_factors.tobytes() == expected
    assert RecentPopularity(30).fit(weights, at=at).item_factors.tobytes() != expected


def test_a_view_at_an_unknown_time_counts_as_the_mean_of_the_others():
    """It is neither new nor old."""
    weights, at = views([(0, 0), (1, -7)], [(2, np.nan)])
    fitted = RecentPopularity(7).fit(weights, at=at)
    assert fitted.item_factors.ravel().tolist() == [1, 0.5, 0.75]


def test_one_wrong_clock_does_not_age_the_other_views():
    """A view of the next century is left out of the latest time."""
    weights, at = views(*[[(0, -365)]] * 30, *[[(1, 0)]] * 2000, [(2, 36_500)], [(3, 0)])
    fitted = RecentPopularity(30).fit(weights, at=at)
    assert first_items(fitted, k=3)[-1] == [1, 2, 0]
    assert fitted.item_factors[2] == 1


def test_an_item_that_follows_is_above_one_that_precedes():
    """Of users who watch 0, 1, 2 in order, one who watched 1 last has 2 before 0."""
    weights, at = views(*[[(0, 1), (1, 2), (2, 3)]] * 20, [(1, 1)])
    assert first_items(LastItems().fit(weights, at=at, n_threads=1))[-1] == [2, 0]
    weights, at = views(*[[(0, 3), (1, 2), (2, 1)]] * 20, [(1, 1)])
    assert first_items(LastItems().fit(weights, at=at, n_threads=1))[-1] == [0, 2]


def test_the_next_item_is_above_the_one_after_it():
    """Both follow; the closer one is more similar."""
    weights, at = views(*[[(0, 1), (2, 2), (1, 3)]] * 20, [(0, 1)])
    assert first_items(LastItems().fit(weights, at=at, n_threads=1))[-1] == [2, 1]


def test_pairs_farther_apart_than_the_window_do_not_count():
    """With a window of 1 only neighbours are pairs, with 2 the third item too."""
    weights, at = views(*[[(0, 1), (1, 2), (2, 3)]] * 20)
    n_pairs = [similarity_of(LastItems(n).fit(weights, at=at, n_threads=1)).nnz for n in (1, 2, 10)]
    assert n_pairs == [4, 6, 6]


def test_the_item_watched_last_counts_most():
    """Items 0 and 1 are followed by 2 and 3; the order of 0 and 1 decides."""
    pairs = [[(0, 1), (2, 2)]] * 20 + [[(1, 1), (3, 2)]] * 20
    weights, at = views(*pairs, [(0, 1), (1, 2)], [(0, 2), (1, 1)])
    fitted = LastItems(decay=0.5).fit(weights, at=at, n_threads=1)
    assert first_items(fitted)[-2:] == [[3, 2], [2, 3]]
    scores = fitted.top_k(2, n_threads=1).scores[-2:]
    assert scores[:, 0] == pytest.approx(2 * scores[:, 1], rel=0.1)


def test_items_whose_weight_has_fallen_to_0_are_not_listed_again():
    """With a decay of 0 only the last item counts, and the others stay seen."""
    weights, at = views(*[[(0, 1), (1, 2), (2, 3)]] * 20, [(0, 1), (2, 2)])
    fitted = LastItems(decay=0).fit(weights, at=at, n_threads=1)
    assert fitted.history.data[-2:].tolist() == [0, 1]
    assert first_items(fitted)[-1] == [1, -1]


def test_without_times_the_order_is_unknown():
    """Similarity is symmetric and all of a user's items count alike, whichever way it is said."""
    weights, at = views(*[[(0, 1), (1, 2), (2, 3)]] * 20, [(0, 1), (1, 2)])
    model = LastItems()
    for times in (None, 0 * at, at - at + NOW):
        fitted = model.fit(weights, at=times, n_threads=1)
        similarity = similarity_of(fitted).toarray()
        assert similarity == pytest.approx(similarity.T)
        assert np.array_equal(fitted.history.data, weights.data)
    ordered = model.fit(weights, at=at, n_threads=1)
    assert not np.allclose(similarity_of(ordered).toarray(), similarity_of(ordered).toarray().T)
    assert ordered.history.data[-2:] == pytest.approx([0.85, 1])


def test_similarity_is_that_of_counting_pairs_one_by_one():
    """Against a loop, with several blocks and users of more items than the window."""
    weights = some_weights(60, 40, density=0.4)
    at = np.random.default_rng(3).permutation(weights.nnz).astype(np.int64) + NOW
    window, decay, shrinkage = 4, 0.7, 5.0
    counts = np.zeros((40, 40))
    for user in range(60):
        entries = np.arange(weights.indptr[user], weights.indptr[user + 1])
        seen = weights.indices[entries[np.argsort(at[entries])]]
        for i, a in enumerate(seen):
            for distance, b in enumerate(seen[i + 1 : i + 1 + window]):
                counts[a, b] += decay**distance
                counts[b, a] += decay**distance / 2
    n_users = np.diff(sp.csc_matrix(weights).indptr)
    expected = counts / (np.sqrt(np.outer(n_users, n_users)) + shrinkage)
    fitted = LastItems(window, decay, shrinkage).fit(weights, at=at, n_threads=2)
    assert similarity_of(fitted).toarray() == pytest.approx(expected, rel=1e-5)


def test_only_the_nearest_neighbours_are_kept():
    """The largest of each row."""
    weights = some_weights()
    at = np.arange(weights.nnz) + NOW
    few, many = (similarity_of(LastItems(n_neighbours=n).fit(weights, at=at)) for n in (5, 40))
    kept = np.sort(many.toarray(), axis=1)[:, -5:]
    assert np.array_equal(np.sort(few.toarray(), axis=1)[:, -5:], kept)
    assert few.nnz <= 5 * few.shape[0] < many.nnz


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_the_size_of_the_blocks_does_not_change_the_lists(monkeypatch, size):
    """Nor does the number of threads."""
    weights = some_weights()
    at = np.random.default_rng(3).integers(0, 50, weights.nnz) + NOW
    expected = similarity_of(LastItems().fit(weights, at=at, n_threads=1)).toarray()
    monkeypatch.setattr("batch.models.last_items._BLOCK_PAIRS", 10 * size)
    found = similarity_of(LastItems().fit(weights, at=at, n_threads=2)).toarray()
    assert found == pytest.approx(expected, rel=1e-5)


def test_folded_in_users_count_their_last_items_most_where_times_are_known():
    """By the weights of `history`; by plain weights all items count alike."""
    weights = some_weights()
    at = np.random.default_rng(3).permutation(weights.nnz).astype(np.int64) + NOW
    model = LastItems()
    fitted = model.fit(weights, at=at, n_threads=1)
    expected = fitted.top_k(10, n_threads=1)
    folded_in = fitted.fold_in(model.history(weights, at)).top_k(10, n_threads=1)
    assert np.array_equal(folded_in.item_rows, expected.item_rows)
    plain = fitted.fold_in(weights).top_k(10, n_threads=1)
    assert not np.array_equal(plain.item_rows, expected.item_rows)


@pytest.mark.parametrize("model", [RecentPopularity(), LastItems()])
def test_a_refit_uses_the_times_that_it_is_given(model):
    """It is a fit to everything."""
    weights, at = views(*[[(0, 1), (1, 2), (2, 400)]] * 20, [(1, 1)], [(3, 0)])
    trial = model.fit(weights[:10], at=at[:30])
    again = model.refit(trial, np.arange(10), weights, at=at)
    expected = model.fit(weights, at=at).top_k(3)
    assert again.top_k(3).scores.tobytes() == expected.scores.tobytes()
    without = model.refit(trial, np.arange(10), weights).top_k(3)
    assert without.scores.tobytes() != expected.scores.tobytes()


@pytest.mark.parametrize("name", ["recent_popularity", "last_items"])
def test_weights_that_are_not_finite_are_an_error_with_times_too(name):
    """Before anything is counted."""
    weights, at = trend()
    weights.data[3] = np.nan
    with pytest.raises(BatchError, match="weights of the interactions: 1 of"):
        recommender(name, BatchSettings()).fit(weights, at=at)


def test_views_are_sorted_by_user_and_time():
    """Views at the same time have one moment, and none of them is later than another."""
    weights, at = views([(0, 3), (1, 1), (2, 3)], [(0, np.nan), (3, 5)], [], [(1, 2)])
    order = order_views(weights, at, seed=1, n_threads=1)
    assert order.user.tolist() == [0, 0, 0, 1, 1, 3]
    assert order.item[0] == 1
    assert set(order.item[1:3].tolist()) == {0, 2}
    assert order.item[3:].tolist() == [0, 3, 1]
    assert np.diff(order.moment).tolist() == [1, 0, 1, 1, 1]
    assert order.n_later.tolist() == [0, 2, 0, 1, 0, 0]


def test_views_at_the_same_time_are_in_a_random_order_that_a_seed_decides():
    """So that no item is near to another for its row."""
    weights, at = views([(item, 1) for item in range(50)])
    first, again, other = (order_views(weights, at, s, 1).item.tolist() for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(first) == list(range(50)) != first


def test_blocks_cover_all_rows_within_their_limits():
    """A row with more entries than the limit is a block of its own."""
    starts = np.array([0, 2, 4, 4, 30, 31, 32, 33])
    assert list(blocks(starts, 5, 10)) == [(0, 3), (3, 4), (4, 7)]
    assert list(blocks(starts, 100, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(blocks(np.array([0]), 5, 10)) == []
