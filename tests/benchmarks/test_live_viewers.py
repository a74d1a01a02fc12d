"""Viewers click by rank, preference and novelty, as in the model."""

import numpy as np
import pytest

from benchmarks.simulator.live.audience.fault_effects import PreferenceShift
from benchmarks.simulator.live.audience.new_users import with_new_users
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import (
    CONTINUE_SHARE,
    OWN_SHARE,
    SCAN_SHARE,
    Viewers,
    attraction,
    expected_clicks,
)
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.truth import LIST_LENGTH
from benchmarks.simulator.world.world import make_world

N_USERS, N_ITEMS = 20_000, 300


@pytest.fixture(scope="module")
def world():
    return make_world(N_USERS, N_ITEMS, 5)


@pytest.fixture(scope="module")
def preferences(world):
    return Preferences(world)


def nothing_seen():
    return Seen(N_ITEMS, np.empty(0, np.int64))


def best_lists(preferences):
    return best_of(preferences.all_chances(np.arange(N_USERS)), LIST_LENGTH)


def react(preferences, lists, seen=None, seed=1):
    return Viewers(preferences, seen or nothing_seen()).react(
        np.arange(len(lists)), lists, np.random.default_rng(seed)
    )


def test_later_ranks_are_examined_less_often(preferences):
    """The clicks of each rank equal the model's expectation."""
    lists = np.tile(np.arange(LIST_LENGTH), (N_USERS, 1))
    taken = attraction(preferences.chances(np.arange(N_USERS), lists), np.zeros(lists.shape, bool))
    reaction = react(preferences, lists)
    examined = SCAN_SHARE * CONTINUE_SHARE ** np.arange(LIST_LENGTH)
    passed = np.cumprod(np.hstack((np.ones((N_USERS, 1)), 1 - taken[:, :-1])), axis=1)
    expected = (passed * taken * examined).sum(axis=0)
    counts = np.bincount(reaction.rank, minlength=LIST_LENGTH + 1)[1:]
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected) + 1).all()


def test_the_number_of_clicks_equals_the_true_click_through(preferences):
    """The expectation in the report is that of the draws."""
    reaction = react(preferences, best_lists(preferences))
    error = np.sqrt((reaction.expected * (1 - reaction.expected)).sum()) / N_USERS
    assert abs((reaction.rank > 0).mean() - reaction.expected.mean()) < 5 * error


def test_expected_clicks_of_a_list_calculated_by_hand():
    """Two ranks of 0.5: 0.9 · (0.5 + 0.93 · 0.5 · 0.5)."""
    by_hand = SCAN_SHARE * (0.5 + CONTINUE_SHARE * 0.25)
    np.testing.assert_allclose(expected_clicks(np.array([[0.5, 0.5]])), [by_hand])
    np.testing.assert_allclose(expected_clicks(np.array([[1.0, 1.0]])), [SCAN_SHARE])


def test_watched_items_are_not_clicked_again(preferences):
    """Neither items of the history nor items of an earlier list."""
    lists, rows = best_lists(preferences), np.arange(N_USERS)
    seen = Seen(N_ITEMS, rows * N_ITEMS + lists[:, 0])
    first = react(preferences, lists, seen)
    assert not (first.item == lists[:, 0]).any()
    second = react(preferences, lists, seen, seed=2)
    is_again = (second.item == first.item) & (first.item >= 0)
    assert not is_again.any()
    assert (second.rank > 0).sum() > 1000


def test_without_a_list_users_choose_by_their_preferences(preferences, world):
    """A failed answer gets no click; some users watch an item of their own."""
    reaction = react(preferences, np.full((N_USERS, LIST_LENGTH), -1))
    assert (reaction.rank == 0).all()
    assert abs((reaction.item >= 0).mean() - OWN_SHARE) < 0.02
    chosen = np.bincount(reaction.item[reaction.item >= 0], minlength=N_ITEMS)
    expected = preferences.all_chances(np.arange(N_USERS)).mean(axis=0) * chosen.sum()
    assert (np.abs(chosen - expected) <= 5 * np.sqrt(expected) + 2).all()


def test_better_lists_are_clicked_more_and_at_better_ranks(preferences, world):
    """The best list beats the popular one in clicks, and the reversed one in MRR."""
    best = best_lists(preferences)
    popular = np.tile(best_of(world.items.popularity[None], LIST_LENGTH), (N_USERS, 1))
    by_best, by_popular, turned = (
        react(preferences, lists) for lists in (best, popular, best[:, ::-1])
    )
    assert (by_best.rank > 0).mean() > 1.2 * (by_popular.rank > 0).mean()
    mrr = [(one.rank > 0) / np.maximum(one.rank, 1) for one in (by_best, turned)]
    assert mrr[0].mean() > 1.5 * mrr[1].mean()


def test_minutes_and_stars_follow_liking(preferences):
    """Users who like an item more watch it longer and give more stars."""
    reaction = react(preferences, best_lists(preferences))
    who = np.flatnonzero(reaction.rank)
    liking = preferences.truth.liking(who, reaction.item[who], preferences.day)
    share = reaction.minutes[who] / preferences.truth.world.items.runtimes[reaction.item[who]]
    is_liked = liking > np.median(liking)
    assert share[is_liked].mean() > share[~is_liked].mean()
    is_rated = reaction.stars[who] > 0
    stars = reaction.stars[who]
    assert stars[is_rated & is_liked].mean() > stars[is_rated & ~is_liked].mean() + 0.2
    assert (reaction.minutes[reaction.item < 0] == 0).all()


class Effects:
    """Effects of faults, set by a test."""

    def __init__(self, viral=None, shift=None):
        self.traffic_factor, self.viral, self.shift, self.api_outage = 1.0, viral or {}, shift, ""

    def tick(self, seconds):
        pass


def test_a_viral_item_has_its_factor_of_the_probability(world):
    """Relative to any other item; all probabilities still sum to 1."""
    preferences, rows = Preferences(world), np.arange(N_USERS)
    before = preferences.all_chances(rows)
    preferences.follow(Effects({7: 50.0, 9: 2.0}), world.n_days)
    viral = preferences.all_chances(rows)
    np.testing.assert_allclose(viral.sum(axis=1), 1, rtol=1e-4)
    for item, factor in ((7, 50), (9, 2)):
        ratios = viral[:, item] / viral[:, 0] / (before[:, item] / before[:, 0])
        np.testing.assert_allclose(ratios, factor, rtol=0.02)
    lists = np.tile([7, 0, -1], (N_USERS, 1))
    shown = preferences.chances(rows, lists)
    np.testing.assert_allclose(shown[:, 0], viral[:, 7], rtol=1e-4)
    assert (shown[:, 2] == 0).all()
    for listed, is_possible in ((-1, True), (7, False)):  # an item of the list is nothing else
        lists = np.full((N_USERS, 1), listed)
        chosen = preferences.choose(rows, lists, nothing_seen(), np.random.default_rng(3))
        expected = viral[:, 7].sum() * is_possible
        assert abs((chosen == 7).sum() - expected) <= 5 * np.sqrt(expected)


def test_a_shift_changes_the_preferences_of_its_group_and_ends(world):
    """Only of the group, and only while it lasts."""
    preferences, rows = Preferences(world), np.arange(N_USERS)
    before = preferences.all_chances(rows)
    turned = np.arange(N_USERS) < 100
    preferences.follow(Effects(shift=PreferenceShift(turned, 4)), world.n_days)
    shifted = preferences.all_chances(rows)
    np.testing.assert_array_equal(shifted[100:], before[100:])
    of_taste = world.items.tastes[:, 4] > 0.5
    assert shifted[:100, of_taste].sum(axis=1).min() > 0.6
    preferences.follow(Effects(), world.n_days)
    np.testing.assert_array_equal(preferences.all_chances(rows), before)


def test_seen_equals_a_set():
    """Pairs, whole rows and added pairs, compared with Python's own set."""
    rng = np.random.default_rng(2)
    pairs = {(int(u), int(i)) for u, i in rng.integers(0, 30, (200, 2))}
    seen = Seen(30, np.array([user * 30 + item for user, item in pairs]), max_recent=30)
    for _ in range(3):
        users, items = rng.integers(0, 30, (2, 20))
        seen.add(users, items)
        pairs |= set(zip(users.tolist(), items.tolist(), strict=True))
        every = np.arange(30)
        expected = np.array([[(user, item) in pairs for item in range(30)] for user in range(30)])
        np.testing.assert_array_equal(seen.has(every[:, None], every[None]), expected)
        np.testing.assert_array_equal(seen.matrix(every[::-1]), expected[::-1])


def test_new_users_are_copies_with_unique_ids(world):
    """The world's own users stay unchanged; new users have not joined yet."""
    grown = with_new_users(world, 500)
    assert len(grown.users) == N_USERS + 500
    assert len(set(grown.users.ids.tolist())) == N_USERS + 500
    np.testing.assert_array_equal(grown.users.ids[:N_USERS], world.users.ids)
    np.testing.assert_allclose(grown.users.tastes.sum(axis=1), 1, rtol=1e-4)
    end = (world.n_days + 1) * 86_400
    assert grown.users.joined[N_USERS:].min() > end > world.users.joined.max()
