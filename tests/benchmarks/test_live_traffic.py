"""Traffic has its rate, its mix of users, and a fixed server for each user."""

import numpy as np
import pytest

from benchmarks.simulator.live.audience.new_users import NOT_JOINED, with_new_users
from benchmarks.simulator.live.requests.traffic import (
    MALFORMED,
    NO_USER,
    WINDOW_SECONDS,
    Traffic,
    TrafficMix,
    server_of,
)
from benchmarks.simulator.world.world import make_world

N_USERS, N_NEW = 50, 400


@pytest.fixture(scope="module")
def world():
    return with_new_users(make_world(N_USERS, 40, 6), N_NEW)


def windows(world, mix, n, factor=1.0, n_servers=1, seed=3):
    traffic = Traffic(world, N_USERS, mix, n_servers, seed)
    return [traffic.window(number, factor) for number in range(n)]


def test_poisson_traffic_has_the_variance_of_its_mean(world):
    """The mean is the rate; times are uniform within the window."""
    counts = np.array([len(one.seconds) for one in windows(world, TrafficMix(500), 600)])
    assert abs(counts.mean() - 50) < 5 * np.sqrt(50 / 600)
    assert 0.8 < counts.var() / counts.mean() < 1.2
    moments = np.concatenate(
        [one.seconds % WINDOW_SECONDS for one in windows(world, TrafficMix(500), 600)]
    )
    assert abs(moments.mean() / WINDOW_SECONDS - 0.5) < 0.01


@pytest.mark.parametrize("rate", [7, 150, 1000])
def test_constant_rate_traffic_has_equal_intervals(world, rate):
    """Across windows, too, at any rate."""
    seconds = np.concatenate(
        [one.seconds for one in windows(world, TrafficMix(rate, is_constant_rate=True), 100)]
    )
    assert len(seconds) == rate * 10
    np.testing.assert_allclose(np.diff(seconds), 1 / rate, rtol=1e-6)


def test_a_factor_multiplies_the_rate(world):
    """Ten times the traffic."""
    n = sum(len(one.seconds) for one in windows(world, TrafficMix(100), 200, factor=10))
    assert abs(n - 20_000) < 5 * np.sqrt(20_000)


def test_known_users_send_requests_in_proportion_to_their_views(world):
    """By the rates of the history."""
    plans = windows(world, TrafficMix(1000, malformed=0, new_users=0), 400)
    counts = np.bincount(np.concatenate([one.user_rows for one in plans]), minlength=N_USERS)
    rates = world.users.rates[:N_USERS].astype(float)
    expected = counts.sum() * rates / rates.sum()
    assert counts[N_USERS:].sum() == 0
    assert (np.abs(counts[:N_USERS] - expected) < 5 * np.sqrt(expected)).all()


def test_new_users_join_once_and_return(world):
    """`joining` lists each in the window of the first request."""
    plans = windows(world, TrafficMix(200, new_users=0.2), 100)
    known: set[int] = set()
    for plan in plans:
        new = [row for row in plan.user_rows.tolist() if row >= N_USERS]
        assert set(plan.joining.tolist()) == set(new) - known
        known |= set(new)
    assert 100 < len(known) < N_NEW
    n_requests = sum((plan.user_rows >= N_USERS).sum() for plan in plans)
    assert n_requests > 1.5 * len(known)
    assert (world.users.joined[N_USERS:] == NOT_JOINED).all()


def test_when_all_new_users_have_joined_they_return(world):
    """A long run never runs out of users."""
    plans = windows(world, TrafficMix(2000, new_users=0.5), 50)
    assert max(plan.user_rows.max() for plan in plans) == N_USERS + N_NEW - 1


def test_a_share_of_the_ids_is_malformed(world):
    """Those requests have no user; all others have the user's own id."""
    plans = windows(world, TrafficMix(1000, malformed=0.1), 100)
    rows = np.concatenate([plan.user_rows for plan in plans])
    ids = [user for plan in plans for user in plan.users]
    assert abs((rows == NO_USER).mean() - 0.1) < 0.02
    assert {user for user, row in zip(ids, rows, strict=True) if row == NO_USER} == set(MALFORMED)
    for user, row in zip(ids, rows.tolist(), strict=True):
        assert row == NO_USER or user == b"%d" % world.users.ids[row]


def test_users_are_split_evenly_and_permanently():
    """By id and seed alone: half and half, and independent of another seed's split."""
    ids = np.arange(100_000)
    by_seed = [server_of(ids, 2, seed) for seed in (0, 1)]
    for servers in by_seed:
        assert abs(servers.mean() - 0.5) < 0.01
    np.testing.assert_array_equal(server_of(ids[::7], 2, 1), by_seed[1][::7])
    assert abs((by_seed[0] == by_seed[1]).mean() - 0.5) < 0.01


def test_the_same_seed_gives_the_same_requests(world):
    """Another seed gives others."""
    one, again = (windows(world, TrafficMix(300), 20, n_servers=2) for _ in range(2))
    for first, second in zip(one, again, strict=True):
        assert first.users == second.users
        np.testing.assert_array_equal(first.seconds, second.seconds)
        np.testing.assert_array_equal(first.servers, second.servers)
    assert windows(world, TrafficMix(300), 1, seed=4)[0].users != one[0].users
