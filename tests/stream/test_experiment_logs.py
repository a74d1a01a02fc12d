"""Estimates from logs: exact propensities, honest intervals, and no answer without support."""

import itertools

import numpy as np
import pytest

from stream.experiments.statistics.log_estimates import (
    LogEntries,
    cascade_weights,
    estimate,
    position_curve,
)
from stream.experiments.statistics.plackett_luce import (
    conditional_propensities,
    draw,
    rank_propensities,
)

N_USERS, N_CANDIDATES, N_PLACES = 4000, 12, 3
EXAMINED = np.array([0.9, 0.7, 0.5])


def made_weights(seed, n_users=N_USERS, spread=0.5):
    return spread * np.random.default_rng(seed).standard_normal((n_users, N_CANDIDATES))


def entries_of(drawn, attraction, seed):
    """Two requests of each user; a click depends on the item and its rank."""
    chance = np.take_along_axis(attraction, drawn, axis=1) * EXAMINED
    clicks = np.random.default_rng(seed).binomial(2, chance).astype(np.float64)
    return LogEntries(np.full(len(drawn), 2.0), np.zeros(len(drawn)), clicks)


def true_rate(log_weights, attraction):
    shares = rank_propensities(log_weights, N_PLACES)
    return float(np.einsum("uil,ui,l->u", shares, attraction, EXAMINED).mean())


@pytest.mark.parametrize("spread", [0.0, 1.0, 5.0])
def test_propensities_of_ranks_are_sums_over_all_orders(spread):
    """Also where one candidate has nearly all the weight."""
    weights = np.exp(made_weights(1, 1, spread)[:, :6])
    expected = np.zeros((6, 4))
    for order in itertools.permutations(range(6), 4):
        chance = conditional_propensities(np.log(weights), np.array([order])).prod()
        for rank, item in enumerate(order):
            expected[item, rank] += chance
    assert rank_propensities(np.log(weights), 4)[0] == pytest.approx(expected, abs=1e-5)
    assert expected.sum(axis=0) == pytest.approx(np.ones(4))


def test_draws_have_these_propensities():
    log_weights = np.repeat(made_weights(2, 1, 1.0), 50_000, axis=0)
    drawn = draw(log_weights, N_PLACES, np.random.default_rng(3))
    assert all(len(set(row)) == N_PLACES for row in drawn[:100].tolist())
    expected = rank_propensities(log_weights[:1], N_PLACES)[0]
    for rank in range(N_PLACES):
        shares = np.bincount(drawn[:, rank], minlength=N_CANDIDATES) / len(drawn)
        assert shares == pytest.approx(expected[:, rank], abs=0.01)


def test_estimates_cover_the_new_generation_and_replay_does_not():
    """In most of 40 runs; the campaign of 500 runs is `python -m benchmarks.experiments`."""
    old, new = made_weights(4), made_weights(5)
    attraction = 0.2 / (1 + np.exp(-new))
    truth = true_rate(new, attraction)
    tables = rank_propensities(old, N_PLACES), rank_propensities(new, N_PLACES)
    everybody = np.ones(N_USERS, np.bool_)
    n_covered = {"rank-wise": 0, "cascade": 0}
    replays = []
    for run in range(40):
        drawn = draw(old, N_PLACES, np.random.default_rng((6, run)))
        entries = entries_of(drawn, attraction, (7, run))
        ranks = np.arange(N_PLACES)
        by_rank = [table[np.arange(N_USERS)[:, None], drawn, ranks] for table in tables]
        given_above = [conditional_propensities(weights, drawn) for weights in (old, new)]
        for name, weights in (
            ("rank-wise", by_rank[1] / by_rank[0]),
            ("cascade", cascade_weights(given_above[1], given_above[0])),
        ):
            found = estimate(entries, weights, everybody)
            assert found.reason == ""
            assert found.clipped_share < 0.02
            n_covered[name] += found.low < truth < found.high
        listed = draw(new, N_PLACES, np.random.default_rng((8, run)))
        is_hit = (drawn[:, :, None] == listed[:, None, :]).any(axis=2)
        replays.append((entries.drawn_clicks * is_hit).sum() / entries.requests.sum())
    assert min(n_covered.values()) >= 34
    assert max(replays) < 0.6 * truth


def test_there_is_no_answer_without_support():
    old, new = made_weights(4), made_weights(5)
    drawn = draw(old, N_PLACES, np.random.default_rng(6))
    entries = entries_of(drawn, np.full(old.shape, 0.2), 7)
    weights = cascade_weights(
        conditional_propensities(new, drawn), conditional_propensities(old, drawn)
    )
    is_supported = np.arange(N_USERS) % 20 > 0
    assert estimate(entries, weights, is_supported).reason == ""
    assert estimate(entries, weights, is_supported).unsupported_share == pytest.approx(0.05)
    few = estimate(entries, weights, np.arange(N_USERS) % 5 > 0)
    assert "20% of the new lists" in few.reason
    assert np.isnan(few.value)
    small = LogEntries(*(column[:500] for column in entries))
    assert "effective users" in estimate(small, weights[:500], is_supported[:500] | True).reason
    far = np.where(np.arange(N_USERS)[:, None] % 50 == 0, 9.0, 1e-3) * np.ones(N_PLACES)
    assert estimate(entries, far, is_supported | True).reason != ""


def test_large_weights_are_clipped_and_reported():
    entries = LogEntries(np.ones(3000), np.zeros(3000), np.ones((3000, 1)))
    weights = np.ones((3000, 1))
    weights[0] = 1000
    found = estimate(entries, weights, np.ones(3000, np.bool_))
    assert found.clipped_share == pytest.approx(990 / 3999)
    assert found.value == pytest.approx(3009 / 3000)


def test_the_position_curve_is_that_of_the_clicks():
    """Although better items are drawn at the first of the places."""
    old = made_weights(4, 8_000)
    attraction = 0.3 / (1 + np.exp(-old))
    drawn = draw(old, N_PLACES, np.random.default_rng(6))
    entries = entries_of(drawn, attraction, 7)
    table = rank_propensities(old, N_PLACES)
    shown = table[np.arange(8_000)[:, None], drawn, np.arange(N_PLACES)]
    curve = [arm.rate for arm in position_curve(entries, shown, N_CANDIDATES)]
    assert np.array(curve) / curve[0] == pytest.approx(EXAMINED / EXAMINED[0], abs=0.08)
