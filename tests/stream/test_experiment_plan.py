"""The plan of an experiment: duration, power, and the price of looking early."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from batch.errors import InputError
from stream.__main__ import main
from stream.experiments.plan import ALWAYS_VALID, FIXED, GROUP_SEQUENTIAL, Goal, plan
from stream.experiments.traffic import ExperimentTraffic, ServiceRates, measured, of_rates

DAYS = np.arange(1.0, 61.0)  # each with new users alone
ALIKE = np.sqrt(np.minimum.outer(DAYS, DAYS) / np.maximum.outer(DAYS, DAYS))
STEADY = ExperimentTraffic(1000 * DAYS, np.full(60, 1.5), ALIKE, np.zeros(60))


def test_a_fixed_test_needs_the_users_of_the_textbook():
    """n = 2 · ((z_alpha + z_power) · deviation / lift)² in each of two arms."""
    found = plan(Goal(0.05), STEADY).designs[FIXED]
    users = 4 * ((norm.ppf(0.975) + norm.ppf(0.8)) * 1.5 / 0.05) ** 2
    assert found.n_days == pytest.approx(users / 1000, rel=0.08)
    assert found.n_users == 1000 * found.n_days
    assert 0.8 <= found.power < 0.83


def test_looking_early_costs_users():
    """A little with planned looks, more with looks at any time: 1.55 × the width at the end."""
    found = plan(Goal(0.06), STEADY)
    days = [found.designs[name].n_days for name in (FIXED, GROUP_SEQUENTIAL, ALWAYS_VALID)]
    assert days[0] <= days[1] < days[2] < found.user_ratio * days[0]
    assert days[1] <= 1.1 * days[0]
    assert found.width_ratio == pytest.approx(1.549, abs=0.001)
    assert found.user_ratio == pytest.approx(2.4, abs=0.01)


@pytest.mark.parametrize(
    ("changed", "is_longer"),
    [
        ({"min_lift": 0.04}, True), ({"power": 0.9}, True), ({"alpha": 0.01}, True),
        ({"shares": (0.8, 0.2)}, True), ({"shares": (0.4, 0.3, 0.3)}, True),
        ({"n_metrics": 3}, True), ({"min_lift": 0.1}, False), ({"power": 0.5}, False),
    ],
)  # fmt: skip
def test_more_to_find_out_takes_longer(changed, is_longer):
    before = plan(Goal(0.06), STEADY).designs[GROUP_SEQUENTIAL].n_days
    after = plan(replace(Goal(0.06), **changed), STEADY).designs[GROUP_SEQUENTIAL].n_days
    assert (after > before) == is_longer
    assert after != before


def test_too_little_traffic_gives_the_power_that_it_has():
    found = plan(Goal(0.01), STEADY).designs
    assert {(design.n_days, design.is_enough) for design in found.values()} == {(60, False)}
    powers = [found[name].power for name in (FIXED, GROUP_SEQUENTIAL, ALWAYS_VALID)]
    assert 0.05 < powers[1] < powers[0] < 0.5
    assert 0 < powers[2] < powers[1]


def test_uncertain_variances_move_a_power_towards_one_half():
    """As in simulated tests of one look, each of which has its own estimate of the variance."""
    random = np.random.default_rng(4)
    uncertain = replace(STEADY, variance_errors=np.full(60, 0.5))
    variance = random.lognormal(-np.log1p(0.25) / 2, np.sqrt(np.log1p(0.25)), 200_000)
    draws = random.standard_normal(200_000)
    for lift, is_more in ((0.01, True), (0.05, False)):
        powers = [plan(Goal(lift, power=0.999), one).designs[FIXED].power
                  for one in (STEADY, uncertain)]  # fmt: skip
        assert (powers[1] > powers[0]) == is_more
        arms = 2 + 2 * (1 + lift) ** 2
        z = (draws + lift / np.sqrt(1.5**2 * arms / 60_000)) / np.sqrt(variance)
        assert powers[1] == pytest.approx((np.abs(z) > norm.ppf(0.975)).mean(), abs=0.01)


def test_traffic_of_rates_is_that_of_simulated_users():
    """Users who come independently: their number and their deviation, day by day."""
    random = np.random.default_rng(6)
    n_users, n_days = 5000, 10
    rates = random.beta(2, 8, n_users)
    day, user = np.nonzero(random.random((n_days, n_users)) < 0.2)
    requests = 1 + random.poisson(1, len(day))
    clicks = random.binomial(requests, rates[user]).astype(np.float64)
    found = measured(day, user, clicks, requests.astype(np.float64))
    totals = np.bincount(user, requests, n_users)
    totals = totals[totals > 0]
    service = ServiceRates(0.2, n_users, 1000, 2.0, 1 / 11, totals.std() / totals.mean())
    expected = of_rates(service, n_days)
    assert found.n_users == pytest.approx(expected.n_users, rel=0.03)
    assert found.deviations[-1] == pytest.approx(expected.deviations[-1], rel=0.05)
    assert found.variance_errors == pytest.approx(expected.variance_errors, rel=0.25)
    assert (np.diff(found.deviations) < 0).all()
    assert found.correlations == pytest.approx(expected.correlations, abs=0.07)
    assert (found.correlations > ALIKE[:n_days, :n_days] - 0.05).all()


def test_the_command_prints_a_plan(capsys):
    arguments = ["experiment", "plan", "--effect", "0.05", "--rate", "0.3", "--users", "1000000"]
    arguments += ["--daily-users", "30000", "--days", "7"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "always valid" in text
    assert "1.55 x as wide" in text
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["designs"]["fixed"]["n_days"] == 2
    assert found["goal"]["min_lift"] == 0.05


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--effect", "0", "is not a lift"), ("--rate", "1.5", "out of range"),
        ("--power", "1", "not between 0 and 1"), ("--daily-users", "0", "out of range"),
        ("--shares", "0.9", "not shares"), ("--metrics", "0", "not a number of metrics"),
        ("--rate", "nan", "out of range"), ("--requests", "0.5", "out of range"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused(capsys, option, value, problem):
    arguments = ["experiment", "plan", "--effect", "0.05", "--rate", "0.3", "--users", "1000"]
    assert main([*arguments, "--daily-users", "30", option, value]) == 1
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("more", [
    ("--daily-users", "30"), ("--past-days", "7"), ("--preset", "cold-start"),
])  # fmt: skip
def test_traffic_is_given_or_measured(capsys, more):
    """Half of the rates, both at once, and a preset with rates are refused."""
    assert main(["experiment", "plan", "--effect", "0.05", "--rate", "0.3", *more]) == 1
    assert "--past-days" in capsys.readouterr().err


def test_a_plan_without_traffic_is_refused():
    none = np.zeros(0)
    with pytest.raises(InputError, match="no days"):
        plan(Goal(0.05), ExperimentTraffic(none, none, np.zeros((0, 0)), none))
    with pytest.raises(InputError, match="no requests"):
        measured(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match="the metric is 0"):
        measured(np.zeros(3, np.int64), np.arange(3), np.zeros(3), np.ones(3))
