"""Metrics and intervals, compared with known answers and with ranx."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.groups import groups_of
from batch.evaluation.metrics import METRICS, hits_of, of_all_lists, per_user
from batch.records.profiles import Profile
from batch.topk import NO_ITEM

K = 20


def matrix(sets, n_items):
    """Return a CSR matrix with a row for each set of item rows."""
    rows = np.repeat(np.arange(len(sets)), [len(items) for items in sets])
    columns = [item for items in sets for item in sorted(items)]
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (len(sets), n_items))


def some_lists(n_users=400, n_items=150, seed=1):
    """Return lists, some of them short, and 1 to 40 relevant items for each user."""
    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :K].astype(np.int32)
    short = rng.random(n_users) < 0.2
    lists[short, rng.integers(0, K) :] = NO_ITEM
    sizes = rng.choice([1, 2, 5, 15, 20, 21, 40], n_users)
    return lists, matrix([set(rng.permutation(n_items)[:size].tolist()) for size in sizes], n_items)


def test_metrics_of_one_list_by_hand():
    """Relevant: 3, 5, 8. The list has 5 first, 3 third, and not 8."""
    found = per_user(np.array([[5, 1, 3, 0]], np.int32), matrix([{3, 5, 8}], 10))
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert {name: value.tolist() for name, value in found.items()} == {
        "ndcg": [pytest.approx((1 + 1 / 2) / ideal)],
        "recall": [pytest.approx(2 / 3)],
        "recall_capped": [pytest.approx(2 / 3)],
        "map": [pytest.approx((1 + 2 / 3) / 3)],
        "mrr": [1.0],
        "hit_rate": [1.0],
    }


def test_capped_recall_divides_by_the_list_length():
    """A perfect list of 2 of 4 relevant items has recall 1/2, capped 1."""
    found = per_user(np.array([[0, 1]], np.int32), matrix([{0, 1, 2, 3}], 5))
    assert (found["recall"][0], found["map"][0]) == (0.5, 0.5)
    assert (found["recall_capped"][0], found["ndcg"][0]) == (1, 1)


def test_empty_rank_is_not_a_hit():
    """NO_ITEM is -1; it must not match the last item of the previous user."""
    test = matrix([{9}, {0}], 10)
    rows = np.full((2, 3), NO_ITEM, np.int32)
    assert not hits_of(rows, test).any()
    assert all(not value.any() for value in per_user(rows, test).values())


def test_user_without_relevant_item_is_refused():
    with pytest.raises(ValueError, match="without a relevant item"):
        per_user(np.zeros((2, 1), np.int32), matrix([{1}, set()], 3))


def test_number_of_lists_must_be_the_number_of_users():
    with pytest.raises(ValueError, match="3 lists"):
        hits_of(np.zeros((3, 1), np.int32), matrix([{1}], 3))


@pytest.mark.filterwarnings("ignore")
def test_all_metrics_agree_with_ranx(monkeypatch):
    """To 1e-9 for each user, on lists of all lengths.

    ranx calls them recall, ndcg, map, mrr and hit_rate; it has no capped recall,
    which is its recall · relevant / min(k, relevant).
    """
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes longer, and fails at times
    ranx = pytest.importorskip("ranx")
    lists, test = some_lists()
    relevant = {
        f"u{user:04}": {str(item): 1 for item in row.indices} for user, row in enumerate(test)
    }
    run = {
        f"u{user:04}": {str(item): float(K - rank) for rank, item in enumerate(row) if item >= 0}
        or {"none": 1.0}
        for user, row in enumerate(lists.tolist())
    }
    names = ("ndcg", "recall", "map", "mrr", "hit_rate")
    theirs = ranx.evaluate(
        ranx.Qrels(relevant), ranx.Run(run), [f"{name}@{K}" for name in names], return_mean=False
    )
    ours = per_user(lists, test)
    for name in names:
        assert np.abs(ours[name] - theirs[f"{name}@{K}"]).max() < 1e-9, name
    n_relevant = np.diff(test.indptr)
    capped = theirs[f"recall@{K}"] * n_relevant / np.minimum(n_relevant, K)
    assert np.abs(ours["recall_capped"] - capped).max() < 1e-9
    assert set(ours) == {*names, "recall_capped"} == set(METRICS)


def test_metrics_of_all_lists_by_hand():
    """4 items with 2, 1, 2 and 0 of 4 users; the lists contain 0, 0, 1 and 3."""
    train = matrix([{0}, {0, 1}, {2}, {2}], 4)
    found = of_all_lists(np.array([[0, 1], [0, 3]], np.int32), train)
    assert found["coverage"] == 3 / 4
    assert found["novelty"] == (1 + 2 + 1 + 2) / 4
    listed, n_users = [2, 1, 0, 1], [2, 1, 2, 0]
    assert found["popularity_correlation"] == pytest.approx(np.corrcoef(listed, n_users)[0, 1])
    assert found["personalization"] == 1 / 2


def test_personalization_of_equal_and_of_disjoint_lists():
    """0 and 1."""
    train = matrix([{0}], 50)
    same = np.tile(np.arange(5, dtype=np.int32), (10, 1))
    assert of_all_lists(same, train)["personalization"] == 0
    assert of_all_lists(np.arange(50, dtype=np.int32).reshape(10, 5), train)["personalization"] == 1


def test_empty_ranks_of_short_lists_are_ignored():
    train = matrix([{0}, {1}], 4)
    found = of_all_lists(np.array([[0, NO_ITEM], [NO_ITEM, NO_ITEM]], np.int32), train)
    assert (found["coverage"], found["novelty"], found["personalization"]) == (1 / 4, 1, 1)


def one_group(n_users):
    return np.ones((n_users, 1), dtype=bool)


def test_interval_of_normal_data_is_1_96_standard_errors():
    """Within the accuracy of 1,000 draws."""
    figures = np.random.default_rng(0).normal(5, 2, (4000, 1))
    (found,) = intervals(figures, one_group(4000), seed=1)[0]
    error = figures.std() / math.sqrt(4000)
    assert found.mean == pytest.approx(figures.mean())
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.2 * error)


def test_intervals_contain_the_true_mean_in_95_of_100_samples():
    """Of 300 samples of 200 users, within sampling error."""
    rng = np.random.default_rng(7)
    n_held = 0
    for seed in range(300):
        figures = rng.random((200, 1)) < 0.3
        (found,) = intervals(figures.astype(float), one_group(200), seed=seed, n_resamples=300)[0]
        n_held += found.low <= 0.3 <= found.high
    assert 0.90 <= n_held / 300 <= 0.99


def test_interval_of_a_group_depends_on_its_members_alone():
    figures = np.array([[1.0], [1.0], [0.0], [0.0], [0.0]])
    groups = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], dtype=bool).T
    whole, ones, zeros = (row[0] for row in intervals(figures, groups, seed=1))
    assert whole.mean == 0.4
    assert whole.low < 0.4 < whole.high
    assert ones == (1, 1, 1)
    assert zeros == (0, 0, 0)


def test_interval_of_a_single_user_is_their_value():
    """Draws without that user are ignored."""
    figures = np.full((50, 1), 0.6)
    group = np.zeros((50, 2), dtype=bool)
    group[7, 0] = True
    single, empty = (row[0] for row in intervals(figures, group, seed=1))
    assert single == pytest.approx((0.6, 0.6, 0.6))
    assert empty == (0, 0, 0)


def test_equal_seeds_draw_the_same_users():
    """Another seed draws others."""
    figures = np.random.default_rng(0).random((100, 2))
    first, again, other = (intervals(figures, one_group(100), seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_difference_is_significant_if_0_lies_outside():
    assert Interval(0.2, 0.1, 0.3).is_significant
    assert Interval(-0.2, -0.3, -0.1).is_significant
    assert not Interval(0.1, -0.1, 0.3).is_significant


def test_groups_are_by_age_gender_and_activity():
    """A user without a profile is in an activity group alone."""
    profiles = {"a": Profile(28, "F", None), "b": Profile(15, None, None)}
    groups = groups_of(["a", "b", "c"], np.array([1, 30, 30]), profiles)
    assert {name: members.tolist() for name, members in groups.items()} == {
        "all": [True, True, True],
        "age 0-17": [False, True, False],
        "age 25-34": [True, False, False],
        "gender F": [True, False, False],
        "activity 1": [True, False, False],
        "activity 20–99": [False, True, True],
    }
