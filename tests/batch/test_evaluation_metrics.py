"""Metrics and intervals: against known answers, and against ranx."""

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
    """Return lists, some of them short, and what is relevant: few items, or more than a list."""
    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :K].astype(np.int32)
    short = rng.random(n_users) < 0.2
    lists[short, rng.integers(0, K) :] = NO_ITEM
    sizes = rng.choice([1, 2, 5, 15, 20, 21, 40], n_users)
    return lists, matrix([set(rng.permutation(n_items)[:size].tolist()) for size in sizes], n_items)


def test_one_list_by_hand():
    """Relevant: 3, 5, 8. Listed: 5 first, 3 third, 8 not at all."""
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


def test_capped_recall_divides_by_what_a_list_can_hold():
    """A perfect list of 2 of 4 relevant items: recall 1/2, capped 1."""
    found = per_user(np.array([[0, 1]], np.int32), matrix([{0, 1, 2, 3}], 5))
    assert (found["recall"][0], found["map"][0]) == (0.5, 0.5)
    assert (found["recall_capped"][0], found["ndcg"][0]) == (1, 1)


def test_an_empty_place_is_no_hit():
    """NO_ITEM is -1: it is not the user before's last item."""
    test = matrix([{9}, {0}], 10)
    rows = np.full((2, 3), NO_ITEM, np.int32)
    assert not hits_of(rows, test).any()
    assert all(not value.any() for value in per_user(rows, test).values())


def test_a_user_without_anything_relevant_is_refused():
    """A mean over them would mean nothing."""
    with pytest.raises(ValueError, match="without a relevant item"):
        per_user(np.zeros((2, 1), np.int32), matrix([{1}, set()], 3))


def test_lists_of_other_users_are_refused():
    """As many lists as users."""
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
        f"u{user:04}": {str(item): float(K - place) for place, item in enumerate(row) if item >= 0}
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


def test_what_all_lists_say_by_hand():
    """4 items; items 0 and 1 had by 2 and 1 of 4 users; lists show 0, 0, 1 and 3."""
    train = matrix([{0}, {0, 1}, {2}, {2}], 4)
    found = of_all_lists(np.array([[0, 1], [0, 3]], np.int32), train)
    assert found["coverage"] == 3 / 4
    assert found["novelty"] == (1 + 2 + 1 + 2) / 4
    listed, had = [2, 1, 0, 1], [2, 1, 2, 0]
    assert found["popularity_correlation"] == pytest.approx(np.corrcoef(listed, had)[0, 1])
    assert found["personalization"] == 1 / 2


def test_the_same_list_for_all_is_not_personal():
    """And lists without a common item are entirely."""
    train = matrix([{0}], 50)
    same = np.tile(np.arange(5, dtype=np.int32), (10, 1))
    assert of_all_lists(same, train)["personalization"] == 0
    assert of_all_lists(np.arange(50, dtype=np.int32).reshape(10, 5), train)["personalization"] == 1


def test_short_lists_count_what_they_hold():
    """Empty places are no item, and nothing in common."""
    train = matrix([{0}, {1}], 4)
    found = of_all_lists(np.array([[0, NO_ITEM], [NO_ITEM, NO_ITEM]], np.int32), train)
    assert (found["coverage"], found["novelty"], found["personalization"]) == (1 / 4, 1, 1)


def one_group(n_users):
    return np.ones((n_users, 1), dtype=bool)


def test_an_interval_is_that_of_the_normal_distribution_where_that_holds():
    """Mean ± 1.96 standard errors, within what 1,000 draws can tell."""
    figures = np.random.default_rng(0).normal(5, 2, (4000, 1))
    (found,) = intervals(figures, one_group(4000), seed=1)[0]
    error = figures.std() / math.sqrt(4000)
    assert found.mean == pytest.approx(figures.mean())
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.2 * error)


def test_intervals_hold_the_truth_in_95_of_100_samples():
    """Of 300 samples of 200 users, as many as chance allows."""
    rng = np.random.default_rng(7)
    n_held = 0
    for seed in range(300):
        figures = rng.random((200, 1)) < 0.3
        (found,) = intervals(figures.astype(float), one_group(200), seed=seed, n_resamples=300)[0]
        n_held += found.low <= 0.3 <= found.high
    assert 0.90 <= n_held / 300 <= 0.99


def test_a_group_has_its_own_members_mean():
    """Others' figures do not touch it, nor does who is drawn beside them."""
    figures = np.array([[1.0], [1.0], [0.0], [0.0], [0.0]])
    groups = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], dtype=bool).T
    whole, ones, zeros = (row[0] for row in intervals(figures, groups, seed=1))
    assert whole.mean == 0.4
    assert whole.low < 0.4 < whole.high
    assert ones == (1, 1, 1)
    assert zeros == (0, 0, 0)


def test_a_lone_user_is_their_own_interval():
    """Draws in which they are absent say nothing about them."""
    figures = np.full((50, 1), 0.6)
    group = np.zeros((50, 2), dtype=bool)
    group[7, 0] = True
    lone, empty = (row[0] for row in intervals(figures, group, seed=1))
    assert lone == pytest.approx((0.6, 0.6, 0.6))
    assert empty == (0, 0, 0)


def test_the_same_seed_draws_the_same_users():
    """And another one others."""
    figures = np.random.default_rng(0).random((100, 2))
    first, again, other = (intervals(figures, one_group(100), seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_difference_is_sure_when_0_lies_outside():
    """On either side."""
    assert Interval(0.2, 0.1, 0.3).is_sure
    assert Interval(-0.2, -0.3, -0.1).is_sure
    assert not Interval(0.1, -0.1, 0.3).is_sure


def test_groups_are_by_age_gender_and_activity():
    """Who is not known is in none of age or gender, and everybody in one of activity."""
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
