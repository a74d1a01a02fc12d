"""The interval of a difference by users: known answers, and its coverage."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from stream.experiments.statistics import rates
from stream.online.comparison import ratio_change
from stream.online.figures import METRICS, by_all, sums_by_label
from stream.online.hours import HOUR


def drawn(rng, n_users, effect=0.0):
    """Return clicks and requests of users whose own rates differ."""
    n_requests = rng.integers(1, 9, n_users)
    rate = np.clip(rng.beta(2, 3, n_users) + effect, 0, 1)
    return rng.binomial(n_requests, rate).astype(float), n_requests.astype(float)


def test_users_on_one_side_each_give_the_delta_method_of_two_samples():
    """Deng, Knoblich and Lu 2018, equation 4, written out by moments."""
    rng = np.random.default_rng(1)
    sides = [drawn(rng, 400), drawn(rng, 300, 0.05)]
    variance, ratios = 0.0, []
    for clicks, requests in sides:
        ratio, mean, n = clicks.sum() / requests.sum(), requests.mean(), len(requests)
        covariance = np.cov(clicks, requests)
        variance += (
            covariance[0, 0] - 2 * ratio * covariance[0, 1] + ratio**2 * covariance[1, 1]
        ) / (mean**2 * n)
        ratios.append(ratio)
    zeros = [np.zeros(400), np.zeros(300)]
    numerators, denominators = (
        np.array([np.concatenate((sides[0][k], zeros[1])), np.concatenate((zeros[0], sides[1][k]))])
        for k in (0, 1)
    )
    found = ratio_change(numerators, denominators)
    assert found is not None
    assert (found.before, found.after) == pytest.approx(tuple(ratios))
    margin = norm.ppf(0.975) * np.sqrt(variance)
    assert (found.high - found.low) / 2 == pytest.approx(margin, rel=0.003)
    assert found.p_value == pytest.approx(
        2 * norm.sf(abs(ratios[1] - ratios[0]) / np.sqrt(variance)), rel=0.03
    )


def test_the_interval_holds_the_difference_in_95_of_100_runs():
    """Users on both sides, whose rates are their own: 1,000 runs of 200 users."""
    rng = np.random.default_rng(2)
    n_held, n_runs = 0, 1000
    for _ in range(n_runs):
        requests = rng.integers(1, 9, (2, 200)).astype(float)
        rate = rng.beta(2, 3, 200)
        clicks = rng.binomial(requests.astype(int), rate).astype(float)
        found = ratio_change(clicks, requests)
        assert found is not None
        n_held += found.low <= 0 <= found.high
    assert 0.93 * n_runs < n_held < 0.97 * n_runs


def test_equal_sides_do_not_differ_and_one_user_is_no_sample():
    clicks, requests = drawn(np.random.default_rng(3), 50)
    same = ratio_change(np.array([clicks, clicks]), np.array([requests, requests]))
    assert same is not None
    assert (same.low, same.high, same.p_value) == (0, 0, 1)
    alone = np.array([requests, np.where(np.arange(50) == 7, requests, 0)])
    assert ratio_change(alone, alone) is None


def test_the_interval_of_a_figure_is_that_of_the_delta_method_by_users():
    """Over 3,000 users, whose own rates differ, the groups of users vary as users do."""
    rng = np.random.default_rng(4)
    requests = rng.integers(1, 9, 3000)
    clicks = rng.binomial(requests, rng.beta(2, 3, 3000))
    users = np.repeat(np.arange(3000), requests)
    place = np.arange(len(users)) - np.repeat(np.cumsum(requests) - requests, requests)
    columns = {name: np.zeros(len(users)) for name in HOUR.names} | {
        "user_id": users.astype(str).astype(object), "source": np.full(len(users), "list", object),
        "segment": np.full(len(users), "", object), "rank": place < clicks[users],
        "is_available": np.ones(len(users), np.bool_),
    }  # fmt: skip
    rows = pa.table([pa.array(columns[one.name]).cast(one.type) for one in HOUR], schema=HOUR)
    metric = next(one for one in METRICS if one.name == "click_through")
    interval = sums_by_label([rows[:1000], rows[1000:]], by_all, 600)["all"].interval(metric)
    assert interval is not None
    by_user = rates.user_sums(clicks.astype(float), requests.astype(float)).rate()
    assert sum(interval) / 2 == pytest.approx(by_user.rate)
    half = 1.96 * by_user.squared_error**0.5
    assert (interval[1] - interval[0]) / 2 == pytest.approx(half, rel=0.25)
    alone = sums_by_label([rows.slice(0, requests[0])], by_all, 600)["all"]
    assert alone.interval(metric) is None
