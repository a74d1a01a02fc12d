"""The statistics of experiments: errors by user, levels at every look, and their opposites."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from batch.errors import InputError
from stream.experiments.statistics.compare import compare
from stream.experiments.statistics.cuped import UserValues, adjusted_rates
from stream.experiments.statistics.designs import (
    AlwaysValid,
    Fixed,
    GroupSequential,
    bonferroni,
)
from stream.experiments.statistics.effects import Effect, difference, lift, lift_interval
from stream.experiments.statistics.group_sequential import (
    bounds,
    obrien_fleming,
    pocock,
)
from stream.experiments.statistics.guardrail import Guardrail
from stream.experiments.statistics.preference import preference
from stream.experiments.statistics.rates import ArmRate, user_sums
from stream.experiments.statistics.sample_ratio import MAX_P, sample_ratio_p

DAYS = np.arange(1, 29) / 28


def made_users(seed, n_users=2000, lift_by=0.0):
    """Users with rates and activity of their own, and the rate of an earlier period."""
    random = np.random.default_rng(seed)
    rates = random.beta(2, 8, n_users)
    requests = 1 + random.geometric(0.2, n_users)
    clicks = random.binomial(requests, np.minimum(rates * (1 + lift_by), 1))
    before = random.binomial(20, rates) / 20
    return UserValues(clicks.astype(float), requests.astype(float), before)


def crossing_probability(information, limits, effect=0.0):
    """P(|z| above its limit at any look), on a plain grid."""
    x, mass, before = np.zeros(1), np.ones(1), 0.0
    for now, limit in zip(information, limits, strict=True):
        if limit < math.inf and now > before:
            y = np.linspace(-limit, limit, 401) * now**0.5
            step = (now - before) ** 0.5
            moved = (y[:, None] - x - effect * (now - before)) / step
            density = np.exp(-(moved**2) / 2) @ mass / (step * (2 * math.pi) ** 0.5)
            mass, x, before = density * (y[1] - y[0]), y, now
            mass[[0, -1]] /= 2
    return 1 - mass.sum()


def test_the_error_of_a_ratio_is_that_of_resampled_users():
    users = made_users(1)
    random = np.random.default_rng(2)
    draws = random.integers(0, 2000, (1000, 2000))
    ratios = users.numerators[draws].sum(axis=1) / users.denominators[draws].sum(axis=1)
    assert users.rate().squared_error == pytest.approx(ratios.var(), rel=0.15)


def test_more_requests_of_the_same_users_do_not_make_a_rate_more_exact():
    """The opposite: more users do."""
    users = made_users(1)
    often = user_sums(5 * users.numerators, 5 * users.denominators).rate()
    assert often.squared_error == pytest.approx(users.rate().squared_error)
    more = user_sums(np.tile(users.numerators, 5), np.tile(users.denominators, 5)).rate()
    assert more.squared_error == pytest.approx(users.rate().squared_error / 5, rel=0.01)


def test_a_covariate_lowers_the_variance_and_keeps_the_effect():
    control, treatment = made_users(1, 20_000), made_users(2, 20_000, 0.2)
    plain = difference(
        *adjusted_rates(*(arm._replace(covariate=None) for arm in (control, treatment)))
    )
    adjusted = difference(*adjusted_rates(control, treatment))
    assert adjusted.variance < 0.8 * plain.variance
    assert adjusted.value == pytest.approx(plain.value, abs=2 * plain.error)
    noise = np.random.default_rng(3).random(20_000)
    useless = adjusted_rates(*(arm._replace(covariate=noise) for arm in (control, treatment)))
    assert difference(*useless).variance == pytest.approx(plain.variance, rel=0.01)


def test_the_variance_falls_by_the_squared_correlation():
    """Also with users whose earlier rate is unknown."""
    random = np.random.default_rng(4)
    arms = []
    for _ in range(2):
        before = random.standard_normal(50_000)
        value = 0.8 * before + 0.6 * random.standard_normal(50_000)
        before[:10] = np.nan
        arms.append(UserValues(value, np.ones(50_000), before))
    for arm in adjusted_rates(*arms):
        assert arm.variance == pytest.approx(1 - 0.8**2, rel=0.03)


def test_an_uncertain_control_gets_an_interval_by_fieller():
    control, treatment = ArmRate(1.0, 4.0, 100), ArmRate(2.0, 4.0, 100)
    low, high = lift_interval(control, treatment, 1.96)
    for ratio in (low + 1, high + 1):
        error = math.sqrt(0.04 + ratio**2 * 0.04)
        assert abs(2.0 - ratio) == pytest.approx(1.96 * error)
    effect = lift(control, treatment)
    assert high > effect.value + 1.96 * effect.error
    sure = lift_interval(control._replace(variance=0.4), treatment, 1.96)
    narrow = lift(control._replace(variance=0.4), treatment)
    assert sure[1] == pytest.approx(narrow.value + 1.96 * narrow.error)
    assert lift_interval(control._replace(variance=40), treatment, 1.96) == (-math.inf, math.inf)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.floats(0.05, 1), min_size=1, max_size=6),
    st.sampled_from([0.001, 0.05, 0.3]),
    st.sampled_from([obrien_fleming, pocock]),
)
def test_sequential_bounds_spend_alpha(steps, alpha, spending):
    """Whenever the looks are; plain bounds at every look spend much more."""
    information = np.cumsum(steps, dtype=np.float64)
    shares = (information / information[-1]).tolist()
    spent = np.array([spending(share, alpha / 2) for share in shares])
    limits = bounds(information, spent)
    assert crossing_probability(information, limits) == pytest.approx(alpha, rel=1e-3)
    assert (limits > 0).all()


def test_looks_without_new_information_spend_alpha_all_the_same():
    """No clicks at first, a day without traffic, and an error that grows again."""
    spent = np.array([pocock(share / 6, 0.025) for share in range(1, 7)])
    limits = bounds(np.array([0.0, 0.0, 5.0, 5.0, 4.0, 9.0]), spent)
    assert np.isfinite(limits).all()
    assert limits[0] == pytest.approx(norm.isf(spent[0]))
    assert (limits > 1.9).all()


def test_daily_looks_at_a_plain_test_mislead():
    plain = crossing_probability(DAYS, np.full(28, 1.96))
    assert 0.24 < plain < 0.32
    assert crossing_probability(DAYS[-1:], np.array([1.959964])) == pytest.approx(0.05, abs=1e-5)


def test_always_valid_bounds_hold_for_1000_looks():
    """The opposite: they find a large effect."""
    design = AlwaysValid(500, min_users=0)
    information = np.arange(10.0, 10_010.0, 10.0)
    effects = [Effect(0, 1, math.inf, int(n)) for n in information]
    limits = np.array([design.multiplier(effect) for effect in effects])
    assert crossing_probability(information[::40], limits[::40]) < 0.05
    assert crossing_probability(information[:50:5], limits[:50:5], 0.3) > 0.99


@pytest.mark.parametrize(
    "design",
    [
        Fixed(),
        AlwaysValid(4000),
        GroupSequential((0.25, 0.5), (100.0, 190.0)),
        GroupSequential((0.5, 1.0), (100.0, 190.0), spending=pocock),
    ],
    ids=["fixed", "always valid", "early look", "last look"],
)
def test_p_values_agree_with_intervals(design):
    """The p value is alpha where the interval touches 0, less beyond it, and 1 at no effect."""
    effect = Effect(0.0, 0.01, 500.0, 3000)
    edge = design.multiplier(effect) * effect.error
    p_values = [design.p_value(effect._replace(value=sign * edge)) for sign in (1, -1)]
    assert p_values == pytest.approx([0.05, 0.05], rel=1e-3)
    assert design.p_value(effect._replace(value=1.2 * edge)) < 0.05
    assert design.p_value(effect) == pytest.approx(1.0)
    assert design.p_value(effect._replace(value=100 * edge)) < 1e-7
    strict = replace(design, alpha=bonferroni(0.05, 2, 3))
    assert strict.multiplier(effect) > design.multiplier(effect)


def test_a_comparison_finds_a_lift_and_no_lift_where_there_is_none():
    control = made_users(1, 20_000)
    found = compare(control, made_users(2, 20_000, 0.2), AlwaysValid(40_000))
    assert (found.decision, found.n_control, found.n_treatment) == ("higher", 20_000, 20_000)
    assert found.low < 0.2 < found.high
    assert found.effect_low > 0
    assert found.lift == pytest.approx(found.effect / found.control)
    assert compare(made_users(2, 20_000, 0.2), control, Fixed()).decision == "lower"
    same = compare(control, made_users(3, 20_000), AlwaysValid(40_000))
    assert same.decision == "n.s."
    assert same.low < 0 < same.high


def test_a_comparison_with_a_control_of_0_has_no_lift():
    nothing = UserValues(np.zeros(10), np.ones(10))
    found = compare(nothing, UserValues(np.ones(10), np.ones(10)), Fixed())
    assert (found.effect, found.decision, math.isnan(found.lift)) == (1.0, "higher", True)
    assert compare(nothing, nothing, Fixed()).decision == "n.s."


@pytest.mark.parametrize("is_higher_better", [True, False])
@pytest.mark.parametrize(
    ("gain", "verdict"), [(-0.2, "stop"), (0.0, "clear"), (-0.05, "open"), (0.2, "clear")]
)
def test_a_guardrail_stops_an_arm_that_is_worse_than_its_margin(is_higher_better, gain, verdict):
    guardrail = Guardrail(0.05, 10_000, is_higher_better)
    sign = 1 if is_higher_better else -1
    found = guardrail.check(Effect(sign * gain, 1e-4, math.inf, 10_000))
    assert found.verdict == verdict
    assert found.low < found.gain < found.high
    assert found.gain == pytest.approx(gain)


def test_unequal_arms_are_an_alarm_that_stays():
    """Equal ones never are."""
    random = np.random.default_rng(5)
    arms = np.cumsum(random.multinomial(100, (0.5, 0.5), 200), axis=0)
    assert sample_ratio_p(arms, (0.5, 0.5)).min() > MAX_P
    skewed = np.cumsum(random.multinomial(100, (0.46, 0.54), 200), axis=0)
    p_values = sample_ratio_p(skewed, (0.5, 0.5))
    assert p_values[-1] < MAX_P
    assert (np.diff(p_values) <= 0).all()
    assert sample_ratio_p(skewed, (0.46, 0.54)).min() > MAX_P


def test_interleaving_counts_users_and_not_clicks():
    """One user with many clicks is one preference; ties belong to nobody."""
    control, treatment = np.zeros(400), np.zeros(400)
    control[:100], treatment[100:250] = 1, 1
    found = preference(control, treatment, Fixed())
    assert (found.decision, found.n_decided, found.n_users) == ("higher", 250, 400)
    assert found.net_share == pytest.approx(50 / 400)
    control[0] = 1_000
    assert preference(control, treatment, Fixed()) == found
    assert preference(treatment, control, Fixed()).decision == "lower"
    assert preference(control, control, AlwaysValid(400)).decision == "n.s."


def test_few_users_decide_nothing_at_an_early_look():
    """The variance of ten equal users is 0; of 400 it is believed."""
    for n_users, decision in ((10, "n.s."), (400, "higher")):
        ones = np.ones(n_users)
        arms = UserValues(ones, ones), UserValues(2 * ones, ones)
        assert compare(*arms, AlwaysValid(1000)).decision == decision
    few = Effect(-1.0, 0.0, math.inf, 10)
    assert Guardrail(0.1, 100).check(few).verdict == "open"
    assert Guardrail(0.1, 100).check(few._replace(n_users=400)).verdict == "stop"
    early = GroupSequential((0.01,), (10.0,)).multiplier(few)
    assert few.interval(early) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: user_sums(np.ones(1), np.ones(1)).rate(),
        lambda: user_sums(np.ones(5), np.zeros(5)).rate(),
        lambda: lift(ArmRate(0.0, 1.0, 5), ArmRate(1.0, 1.0, 5)),
        lambda: adjusted_rates(
            UserValues(np.ones(5), np.ones(4)), UserValues(np.ones(5), np.ones(5))
        ),
        lambda: sample_ratio_p(np.array([[1, 2]]), (0.5, 0.6)),
        lambda: Guardrail(-1.0, 100).check(Effect(0, 1, 10, 100)),
        lambda: preference(np.ones(3), np.ones(4), Fixed()),
        lambda: preference(np.ones(1), np.ones(1), Fixed()),
    ],
)
def test_what_has_no_answer_is_an_error(wrong):
    with pytest.raises(InputError):
        wrong()
