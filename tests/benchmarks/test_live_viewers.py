"""Viewers click as the model says, by place, taste and novelty."""

import numpy as np
import pytest

from benchmarks.simulator.live.audience import seen as seen_module
from benchmarks.simulator.live.audience.fault_effects import Shift
from benchmarks.simulator.live.audience.new_users import with_newcomers
from benchmarks.simulator.live.audience.preferences import Wants
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import (
    GOES_ON,
    LOOKS_SHARE,
    OWN_SHARE,
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
def wants(world):
    return Wants(world)


def nothing_seen():
    return Seen(N_ITEMS, np.empty(0, np.int64))


def best_lists(wants):
    return best_of(wants.all_chances(np.arange(N_USERS)), LIST_LENGTH)


def react(wants, lists, seen=None, seed=1):
    return Viewers(wants, seen or nothing_seen()).react(
        np.arange(len(lists)), lists, np.random.default_rng(seed)
    )


def test_places_are_looked_at_less_and_less(wants):
    """Where all places are equally good, each has a share of the clicks of the one above."""
    lists = np.tile(np.arange(LIST_LENGTH), (N_USERS, 1))
    taken = attraction(wants.chances(np.arange(N_USERS), lists), np.zeros(lists.shape, bool))
    reaction = react(wants, lists)
    looked = LOOKS_SHARE * GOES_ON ** np.arange(LIST_LENGTH)
    passed = np.cumprod(np.hstack((np.ones((N_USERS, 1)), 1 - taken[:, :-1])), axis=1)
    expected = (passed * taken * looked).sum(axis=0)
    counts = np.bincount(reaction.rank, minlength=LIST_LENGTH + 1)[1:]
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected) + 1).all()


def test_clicks_are_as_many_as_the_true_click_through_says(wants):
    """The expectation in the report is that of the very draws."""
    reaction = react(wants, best_lists(wants))
    error = np.sqrt((reaction.expected * (1 - reaction.expected)).sum()) / N_USERS
    assert abs((reaction.rank > 0).mean() - reaction.expected.mean()) < 5 * error


def test_expected_clicks_of_a_list_worked_out_by_hand():
    """Two places of 0.5: 0.9 · (0.5 + 0.93 · 0.5 · 0.5)."""
    by_hand = LOOKS_SHARE * (0.5 + GOES_ON * 0.25)
    np.testing.assert_allclose(expected_clicks(np.array([[0.5, 0.5]])), [by_hand])
    np.testing.assert_allclose(expected_clicks(np.array([[1.0, 1.0]])), [LOOKS_SHARE])


def test_what_was_watched_is_not_clicked_again(wants):
    """Neither what the history holds nor what was taken from an earlier list."""
    lists, rows = best_lists(wants), np.arange(N_USERS)
    seen = Seen(N_ITEMS, rows * N_ITEMS + lists[:, 0])
    first = react(wants, lists, seen)
    assert not (first.item == lists[:, 0]).any()
    second = react(wants, lists, seen, seed=2)
    is_again = (second.item == first.item) & (first.item >= 0)
    assert not is_again.any()
    assert (second.rank > 0).sum() > 1000


def test_without_a_list_users_choose_as_in_the_history(wants, world):
    """An answer that failed moves nobody; some watch what they want, by their own chances."""
    reaction = react(wants, np.full((N_USERS, LIST_LENGTH), -1))
    assert (reaction.rank == 0).all()
    assert abs((reaction.item >= 0).mean() - OWN_SHARE) < 0.02
    chosen = np.bincount(reaction.item[reaction.item >= 0], minlength=N_ITEMS)
    expected = wants.all_chances(np.arange(N_USERS)).mean(axis=0) * chosen.sum()
    assert (np.abs(chosen - expected) <= 5 * np.sqrt(expected) + 2).all()


def test_better_lists_are_clicked_more_and_further_up(wants, world):
    """Best beats popular in clicks, and the best one upside down in the place of the click."""
    best = best_lists(wants)
    popular = np.tile(best_of(world.items.popularity[None], LIST_LENGTH), (N_USERS, 1))
    by_best, by_popular, turned = (react(wants, lists) for lists in (best, popular, best[:, ::-1]))
    assert (by_best.rank > 0).mean() > 1.2 * (by_popular.rank > 0).mean()
    mrr = [(one.rank > 0) / np.maximum(one.rank, 1) for one in (by_best, turned)]
    assert mrr[0].mean() > 1.5 * mrr[1].mean()


def test_minutes_and_stars_follow_liking(wants):
    """Who likes what is watched more watches longer and gives more stars."""
    reaction = react(wants, best_lists(wants))
    who = np.flatnonzero(reaction.rank)
    liking = wants.truth.liking(who, reaction.item[who], wants.day)
    share = reaction.minutes[who] / wants.truth.world.items.runtimes[reaction.item[who]]
    is_liked = liking > np.median(liking)
    assert share[is_liked].mean() > share[~is_liked].mean()
    is_rated = reaction.stars[who] > 0
    stars = reaction.stars[who]
    assert stars[is_rated & is_liked].mean() > stars[is_rated & ~is_liked].mean() + 0.2
    assert (reaction.minutes[reaction.item < 0] == 0).all()


class Quiet:
    """No trouble, for a test to change."""

    def __init__(self, viral=None, shift=None):
        self.traffic_factor, self.viral, self.shift, self.api_outage = 1.0, viral or {}, shift, ""

    def tick(self, seconds):
        pass


def test_a_viral_item_is_wanted_so_many_times_as_much(world):
    """Its chance against any other grows by the factor; all chances still sum to 1."""
    wants, rows = Wants(world), np.arange(N_USERS)
    quiet = wants.all_chances(rows)
    wants.follow(Quiet({7: 50.0, 9: 2.0}), world.n_days)
    viral = wants.all_chances(rows)
    np.testing.assert_allclose(viral.sum(axis=1), 1, rtol=1e-4)
    for item, factor in ((7, 50), (9, 2)):
        ratios = viral[:, item] / viral[:, 0] / (quiet[:, item] / quiet[:, 0])
        np.testing.assert_allclose(ratios, factor, rtol=0.02)
    lists = np.tile([7, 0, -1], (N_USERS, 1))
    shown = wants.chances(rows, lists)
    np.testing.assert_allclose(shown[:, 0], viral[:, 7], rtol=1e-4)
    assert (shown[:, 2] == 0).all()
    chosen = wants.choose(rows, nothing_seen(), np.random.default_rng(3))
    expected = viral[:, 7].sum()
    assert abs((chosen == 7).sum() - expected) < 5 * np.sqrt(expected)


def test_a_group_that_turns_to_a_taste_wants_it_and_turns_back(world):
    """Only the group, and only while it lasts."""
    wants, rows = Wants(world), np.arange(N_USERS)
    quiet = wants.all_chances(rows)
    turned = np.arange(N_USERS) < 100
    wants.follow(Quiet(shift=Shift(turned, 4)), world.n_days)
    shifted = wants.all_chances(rows)
    np.testing.assert_array_equal(shifted[100:], quiet[100:])
    of_taste = world.items.tastes[:, 4] > 0.5
    assert shifted[:100, of_taste].sum(axis=1).min() > 0.6
    wants.follow(Quiet(), world.n_days)
    np.testing.assert_array_equal(wants.all_chances(rows), quiet)


def test_seen_answers_as_a_set_would(monkeypatch):
    """Pairs, whole rows, and pairs added meanwhile, against Python's own set."""
    monkeypatch.setattr(seen_module, "_MOST_RECENT", 30)  # so that they are put together once
    rng = np.random.default_rng(2)
    pairs = {(int(u), int(i)) for u, i in rng.integers(0, 30, (200, 2))}
    seen = Seen(30, np.array([user * 30 + item for user, item in pairs]))
    for _ in range(3):
        users, items = rng.integers(0, 30, (2, 20))
        seen.add(users, items)
        pairs |= set(zip(users.tolist(), items.tolist(), strict=True))
        every = np.arange(30)
        expected = np.array([[(user, item) in pairs for item in range(30)] for user in range(30)])
        np.testing.assert_array_equal(seen.has(every[:, None], every[None]), expected)
        np.testing.assert_array_equal(seen.matrix(every[::-1]), expected[::-1])


def test_newcomers_are_like_users_with_ids_of_their_own(world):
    """The world's own users stay as they were; nobody has two ids or joins before coming."""
    grown = with_newcomers(world, 500)
    assert len(grown.users) == N_USERS + 500
    assert len(set(grown.users.ids.tolist())) == N_USERS + 500
    np.testing.assert_array_equal(grown.users.ids[:N_USERS], world.users.ids)
    np.testing.assert_allclose(grown.users.tastes.sum(axis=1), 1, rtol=1e-4)
    end = (world.n_days + 1) * 86_400
    assert grown.users.joined[N_USERS:].min() > end > world.users.joined.max()
