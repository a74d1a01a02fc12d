"""The yardstick knows the best list: nothing beats it, and it is what brute force finds."""

from itertools import permutations

import numpy as np
import pytest

from benchmarks.simulator.live.audience.oracle import Yardstick
from benchmarks.simulator.live.audience.preferences import Wants
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
def wants(world):
    return Wants(world)


@pytest.fixture
def measure(world, seen, wants):
    yardstick = Yardstick(wants, seen, world.items.popularity)
    return lambda lists: yardstick.measure(np.arange(N_USERS), lists)


def open_lists(scores, seen):
    """The largest scores among what each user has not seen."""
    return best_of(np.where(seen.matrix(np.arange(N_USERS)), -1, scores), LIST_LENGTH)


def test_no_list_is_above_the_best_and_the_best_reaches_it(measure, seen, wants):
    """Random lists, popular ones and the user's own best one."""
    rows = np.arange(N_USERS)
    rng = np.random.default_rng(1)
    for _ in range(20):
        at_random = np.argsort(rng.random((N_USERS, N_ITEMS)), axis=1)[:, :LIST_LENGTH]
        measured = measure(at_random)
        assert (measured.best >= measured.expected - 1e-7).all()
        assert (measured.best >= measured.popular - 1e-7).all()
        assert measured.popular.mean() > measured.expected.mean()
    best = measure(open_lists(wants.all_chances(rows), seen))
    np.testing.assert_allclose(best.expected, best.best, rtol=1e-5)
    np.testing.assert_allclose(best.ndcg, 1, rtol=1e-5)


def test_the_popular_list_shown_is_worth_the_popular_list(measure, seen, world):
    """It leaves out what the user has watched, as every list of ours does."""
    popular = measure(open_lists(np.tile(world.items.popularity, (N_USERS, 1)), seen))
    np.testing.assert_allclose(popular.expected, popular.popular, rtol=1e-6)


def test_what_was_watched_is_worth_nothing(measure, world):
    """Showing it wastes a place; an answer that failed is worth 0."""
    seen_first = np.full((N_USERS, LIST_LENGTH), -1)
    assert (measure(seen_first).expected == 0).all()
    source = ViewSource(Truth(world), 5)
    views = np.concatenate([source.draw(block) for block in source.blocks()])
    seen_first[views["user_row"], 0] = views["item_row"]
    measured = measure(seen_first)
    assert (measured.expected == 0).all()
    assert (measured.ndcg == 0).all()


def test_the_best_list_is_what_brute_force_finds():
    """Of all orders of 3 out of 6 items none is clicked more than that by falling chance."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        chances = rng.dirichlet(np.ones(6))
        orders = np.array(list(permutations(range(6), 3)))
        worth = expected_clicks(attraction(chances[orders], np.zeros(orders.shape, bool)))
        assert tuple(orders[worth.argmax()]) == tuple(np.argsort(-chances)[:3])


def test_ndcg_is_that_of_the_other_implementation(measure, seen, wants):
    """`ranking.ndcg` is written apart, by full sorts."""
    rng = np.random.default_rng(8)
    lists = np.argsort(rng.random((N_USERS, N_ITEMS)), axis=1)[:, :LIST_LENGTH]
    lists[:50, 12:] = -1
    rows = np.arange(N_USERS)
    expected = ndcg(lists, wants.all_chances(rows), seen.matrix(rows))
    np.testing.assert_allclose(measure(lists).ndcg, expected, rtol=1e-5)
