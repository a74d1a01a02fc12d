"""The A/B test finds a real difference, and finds none between equal servers."""

import numpy as np
import pytest
from scipy.stats import binom, ttest_ind

from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.live.audience.viewers import Viewers
from benchmarks.simulator.live.report.comparison import compare
from benchmarks.simulator.live.report.metrics import user_sums
from benchmarks.simulator.live.report.records import RECORD
from benchmarks.simulator.live.requests.traffic import Traffic, TrafficMix
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.truth import LIST_LENGTH
from benchmarks.simulator.world.world import make_world

N_USERS, N_ITEMS, N_WINDOWS, RATE = 20_000, 200, 200, 4000


@pytest.fixture(scope="module")
def preferences():
    return Preferences(make_world(N_USERS, N_ITEMS, 12))


@pytest.fixture(scope="module")
def best(preferences):
    return best_of(preferences.all_chances(np.arange(N_USERS)), LIST_LENGTH)


def worse(best, share):
    """Return lists in which a share of the users has unpopular items."""
    lists = best.copy()
    lists[: int(share * N_USERS)] = np.arange(N_ITEMS - LIST_LENGTH, N_ITEMS)
    return lists


def simulate(preferences, lists_of_servers, seed=1):
    """Simulate 80,000 requests of users split between two servers, without HTTP."""
    world = preferences.truth.world
    traffic = Traffic(world, N_USERS, TrafficMix(RATE, malformed=0, new_users=0), 2, seed)
    viewers = Viewers(preferences, Seen(N_ITEMS, np.empty(0, np.int64)))
    parts = []
    for number in range(N_WINDOWS):
        plan = traffic.window(number, 1.0)
        lists = np.stack(lists_of_servers)[plan.servers, plan.user_rows]
        reaction = viewers.react(plan.user_rows, lists, np.random.default_rng([seed, number]))
        records = np.zeros(len(plan.users), RECORD)
        records["user_row"], records["server"] = plan.user_rows, plan.servers
        records["rank"], records["expected"] = reaction.rank, reaction.expected
        records["minutes"], records["stars"] = reaction.minutes, reaction.stars
        for name in ("best", "popular", "ndcg"):
            records[name] = np.nan
        parts.append(records)
    records = np.concatenate(parts)
    rows, user = np.unique(records["user_row"], return_inverse=True)
    server = np.zeros(len(rows), int)
    server[user] = records["server"]
    return user_sums(records, user, len(rows)), server


def difference(sums, server, metric="click_through"):
    found = {one.metric: one for one in compare(sums, server == 0, server == 1)}
    return found[metric]


def test_equal_lists_do_not_differ(preferences, best):
    """Neither in clicks nor in the metrics that depend on them."""
    sums, server = simulate(preferences, [best, best], seed=2)
    for metric in ("click_through", "mrr", "minutes", "expected_clicks"):
        one = difference(sums, server, metric)
        assert one.p_value > 0.05, metric
        assert one.low < 0 < one.high, metric


def test_an_improvement_of_five_percent_is_found(preferences, best):
    """The second server's lists have 5 % more true clicks; 80,000 requests show it."""
    sums, server = simulate(preferences, [worse(best, 0.06), best])
    mean = [
        sums["expected"][server == n].sum() / sums["requests"][server == n].sum() for n in (0, 1)
    ]
    assert mean[1] / mean[0] == pytest.approx(1.05, abs=0.015)
    one = difference(sums, server)
    assert one.p_value < 0.01
    assert 0 < one.low < one.value < one.high
    assert one.low < mean[1] - mean[0] < one.high


def test_worse_lists_have_a_negative_difference(preferences, best):
    """The difference is the second server minus the first."""
    sums, server = simulate(preferences, [best, worse(best, 0.06)])
    assert difference(sums, server).value < 0
    assert difference(sums, server).p_value < 0.01


def test_the_false_positive_rate_is_five_percent(preferences, best):
    """Of 300 random splits of the same users, about one in twenty is significant."""
    sums, _ = simulate(preferences, [best, best])
    rng, n_users = np.random.default_rng(5), len(sums["requests"])
    n_wrong = sum(difference(sums, rng.integers(0, 2, n_users)).p_value < 0.05 for _ in range(300))
    assert binom.ppf(0.001, 300, 0.05) <= n_wrong <= binom.ppf(0.999, 300, 0.05)


def test_a_difference_calculated_by_hand():
    """Two users a side with one request each: no click and one, against two clicks."""
    sums = {name: np.zeros(4) for name in COLUMNS}
    sums["requests"] += 1
    sums["clicks"][:] = [0, 1, 1, 1]
    server = np.array([0, 0, 1, 1])
    one = difference(sums, server)
    # Welch: means .5 and 1, variances .5 and 0, so t = .5 / .5 = 1 on one degree of freedom.
    assert one.value == pytest.approx(0.5)
    assert one.p_value == pytest.approx(0.5)
    assert one.low == pytest.approx(0.5 - 12.7062 * 0.5, rel=1e-4)


def test_the_test_equals_that_of_scipy():
    """With one request a user, users' clicks are compared directly."""
    rng, server = np.random.default_rng(1), np.arange(300) % 3 // 2
    sums = {name: np.zeros(300) for name in COLUMNS}
    sums["requests"] += 1
    sums["clicks"][:] = rng.poisson(2, 300)
    test = ttest_ind(sums["clicks"][server == 1], sums["clicks"][server == 0], equal_var=False)
    one = difference(sums, server)
    assert one.p_value == pytest.approx(test.pvalue)
    assert (one.low, one.high) == pytest.approx(tuple(test.confidence_interval()))


COLUMNS = user_sums(np.zeros(0, RECORD), np.zeros(0, int), 1).keys()
