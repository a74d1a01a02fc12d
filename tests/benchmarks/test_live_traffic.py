"""Traffic comes at its rate, from whom it should, and to the server of each user."""

import numpy as np
import pytest

from benchmarks.simulator.live.audience.new_users import NOT_YET, with_newcomers
from benchmarks.simulator.live.requests.traffic import (
    MALFORMED,
    NOBODY,
    WINDOW_SECONDS,
    Mix,
    Traffic,
    server_of,
)
from benchmarks.simulator.world.world import make_world

N_USERS, N_NEW = 50, 400


@pytest.fixture(scope="module")
def world():
    return with_newcomers(make_world(N_USERS, 40, 6), N_NEW)


def windows(world, mix, n, factor=1.0, n_servers=1, seed=3):
    traffic = Traffic(world, N_USERS, mix, n_servers, seed)
    return [traffic.window(number, factor) for number in range(n)]


def test_poisson_traffic_scatters_as_poisson_does(world):
    """As many as the rate says, with the variance of the mean, at even moments of the window."""
    counts = np.array([len(one.seconds) for one in windows(world, Mix(500), 600)])
    assert abs(counts.mean() - 50) < 5 * np.sqrt(50 / 600)
    assert 0.8 < counts.var() / counts.mean() < 1.2
    moments = np.concatenate(
        [one.seconds % WINDOW_SECONDS for one in windows(world, Mix(500), 600)]
    )
    assert abs(moments.mean() / WINDOW_SECONDS - 0.5) < 0.01


@pytest.mark.parametrize("rate", [7, 150, 1000])
def test_even_traffic_has_equal_distances(world, rate):
    """Across windows, too, whatever the rate."""
    seconds = np.concatenate([one.seconds for one in windows(world, Mix(rate, is_even=True), 100)])
    assert len(seconds) == rate * 10
    np.testing.assert_allclose(np.diff(seconds), 1 / rate, rtol=1e-6)


def test_trouble_multiplies_the_rate(world):
    """Ten times the traffic while it lasts."""
    n = sum(len(one.seconds) for one in windows(world, Mix(100), 200, factor=10))
    assert abs(n - 20_000) < 5 * np.sqrt(20_000)


def test_known_users_ask_as_much_as_they_watch(world):
    """By their rates, which the history was drawn by."""
    plans = windows(world, Mix(1000, malformed=0, newcomers=0), 400)
    counts = np.bincount(np.concatenate([one.user_rows for one in plans]), minlength=N_USERS)
    rates = world.users.rates[:N_USERS].astype(float)
    expected = counts.sum() * rates / rates.sum()
    assert counts[N_USERS:].sum() == 0
    assert (np.abs(counts[:N_USERS] - expected) < 5 * np.sqrt(expected)).all()


def test_newcomers_come_once_and_then_again(world):
    """Each is announced in the window of the first request, one after the other."""
    plans = windows(world, Mix(200, newcomers=0.2), 100)
    known: set[int] = set()
    for plan in plans:
        new = [row for row in plan.user_rows.tolist() if row >= N_USERS]
        assert set(plan.joining.tolist()) == set(new) - known
        known |= set(new)
    assert 100 < len(known) < N_NEW
    n_asked = sum((plan.user_rows >= N_USERS).sum() for plan in plans)
    assert n_asked > 1.5 * len(known)
    assert (world.users.joined[N_USERS:] == NOT_YET).all()


def test_when_all_newcomers_have_come_they_come_again(world):
    """A long run never runs out of users."""
    plans = windows(world, Mix(2000, newcomers=0.5), 50)
    assert max(plan.user_rows.max() for plan in plans) == N_USERS + N_NEW - 1


def test_a_share_of_the_ids_is_malformed(world):
    """Those requests have nobody behind them; all others have the user's own id."""
    plans = windows(world, Mix(1000, malformed=0.1), 100)
    rows = np.concatenate([plan.user_rows for plan in plans])
    asked = [user for plan in plans for user in plan.users]
    assert abs((rows == NOBODY).mean() - 0.1) < 0.02
    assert {user for user, row in zip(asked, rows, strict=True) if row == NOBODY} == set(MALFORMED)
    for user, row in zip(asked, rows.tolist(), strict=True):
        assert row == NOBODY or user == b"%d" % world.users.ids[row]


def test_users_are_split_evenly_and_for_good():
    """By id and seed alone: half and half, and independent of another seed's split."""
    ids = np.arange(100_000)
    by_seed = [server_of(ids, 2, seed) for seed in (0, 1)]
    for servers in by_seed:
        assert abs(servers.mean() - 0.5) < 0.01
    np.testing.assert_array_equal(server_of(ids[::7], 2, 1), by_seed[1][::7])
    assert abs((by_seed[0] == by_seed[1]).mean() - 0.5) < 0.01


def test_the_same_seed_asks_the_same(world):
    """Another seed asks something else."""
    one, again = (windows(world, Mix(300), 20, n_servers=2) for _ in range(2))
    for first, second in zip(one, again, strict=True):
        assert first.users == second.users
        np.testing.assert_array_equal(first.seconds, second.seconds)
        np.testing.assert_array_equal(first.servers, second.servers)
    assert windows(world, Mix(300), 1, seed=4)[0].users != one[0].users
