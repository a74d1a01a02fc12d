"""The oracle's best list is optimal: no list beats it, and brute force finds the same."""

from itertools import permutations

import numpy as np
import pytest

from benchmarks.simulator.live.audience.oracle import Oracle
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import attraction, expected_clicks
from benchmarks.simulator.world.ranking import best_of, ndcg
from benchmarks.simulator.world.truth import LIST_LENGTH, Truth
from benchmarks.simulator.world.views import ViewSource
from benchmarks.simulator.world.world import make_world

N_USERS, N_ITEMS = 300, 200


@pytest.fixture(scope="module")
def world():
    return make_world(N_USERS, N_ITEMS, 9)


@pytest.fixture(scope="module")
def seen(world):
    return Seen.of_history(ViewSource(Truth(world), 5), N_ITEMS)


@pytest.fixture(scope="module")
def preferences(world):
    return Preferences(world)


@pytest.fixture
def measure(world, seen, preferences):
    oracle = Oracle(preferences, seen, world.items.popularity)
    return lambda lists: oracle.measure(np.arange(N_USERS), lists)


def open_lists(scores, seen):
    """Return the items with the largest scores among those each user has not seen."""
    return best_of(np.where(seen.matrix(np.arange(N_USERS)), -1, scores), LIST_LENGTH)


def test_no_list_beats_the_best_list(measure, seen, preferences):
    """Random lists, popular ones and the user's own best one."""
    rows = np.arange(N_USERS)
    rng = np.random.default_rng(1)
    for _ in range(20):
        at_random = np.argsort(rng.random((N_USERS, N_ITEMS)), axis=1)[:, :LIST_LENGTH]
        measured = measure(at_random)
        assert (measured.best >= measured.expected - 1e-7).all()
        assert (measured.best >= measured.popular - 1e-7).all()
        assert measured.popular.mean() > measured.expected.mean()
    best = measure(open_lists(preferences.all_chances(rows), seen))
    np.testing.assert_allclose(best.expected, best.best, rtol=1e-5)
    np.testing.assert_allclose(best.ndcg, 1, rtol=1e-5)


def test_the_popular_list_has_the_value_of_the_popular_list(measure, seen, world):
    """Without the items that the user has watched."""
    popular = measure(open_lists(np.tile(world.items.popularity, (N_USERS, 1)), seen))
    np.testing.assert_allclose(popular.expected, popular.popular, rtol=1e-6)


def test_watched_items_have_no_value(measure, world):
    """A watched item in a list wastes a rank; a failed answer has the value 0."""
    seen_first = np.full((N_USERS, LIST_LENGTH), -1)
    assert (measure(seen_first).expected == 0).all()
    source = ViewSource(Truth(world), 5)
    views = np.concatenate([source.draw(block) for block in source.blocks()])
    seen_first[views["user_row"], 0] = views["item_row"]
    measured = measure(seen_first)
    assert (measured.expected == 0).all()
    assert (measured.ndcg == 0).all()


def test_brute_force_finds_the_same_best_list():
    """Of all orders of 3 of 6 items the one by descending probability has the most clicks."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        chances = rng.dirichlet(np.ones(6))
        orders = np.array(list(permutations(range(6), 3)))
        values = expected_clicks(attraction(chances[orders], np.zeros(orders.shape, bool)))
        assert tuple(orders[values.argmax()]) == tuple(np.argsort(-chances)[:3])


def test_ndcg_equals_that_of_the_other_implementation(measure, seen, preferences):
    """`ranking.ndcg` is implemented separately, by full sorts."""
    rng = np.random.default_rng(8)
    lists = np.argsort(rng.random((N_USERS, N_ITEMS)), axis=1)[:, :LIST_LENGTH]
    lists[:50, 12:] = -1
    rows = np.arange(N_USERS)
    expected = ndcg(lists, preferences.all_chances(rows), seen.matrix(rows))
    np.testing.assert_allclose(measure(lists).ndcg, expected, rtol=1e-5)
