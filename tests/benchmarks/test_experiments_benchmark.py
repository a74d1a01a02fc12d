"""The benchmark of experiments: its rules, its draft, and a small run of all of it."""

import json

import numpy as np
import pytest

from benchmarks.experiments import __main__ as benchmark
from benchmarks.experiments.ab import found_by, share_of
from benchmarks.experiments.interleaving import LIST_LENGTH, draft, lists_with_lift, true_lift
from benchmarks.experiments.service import N_DAYS, simulate, sums_by_day


def made_lists(seed, n_users=300):
    random = np.random.default_rng(seed)
    return [np.argsort(random.random((n_users, 40)), axis=1)[:, :LIST_LENGTH] for _ in range(2)]


def test_a_draft_is_a_list_and_fair():
    """No item twice, both teams equally often and at equal ranks."""
    control, treatment = made_lists(1)
    drafted, team = draft(control, treatment, np.random.default_rng(2))
    for items, one, other in zip(
        drafted.tolist(), control.tolist(), treatment.tolist(), strict=True
    ):
        assert len(set(items)) == LIST_LENGTH
        assert set(items) <= set(one) | set(other)
        assert items[0] in (one[0], other[0])
    n_items = [(team == arm).sum(axis=1) for arm in (0, 1)]
    assert abs(n_items[0] - n_items[1]).max() <= LIST_LENGTH - (team >= 0).sum(axis=1).min() + 1
    ranks = [np.nonzero(team == arm)[1].mean() for arm in (0, 1)]
    assert ranks[0] == pytest.approx(ranks[1], abs=0.3)


def test_equal_lists_are_drafted_as_they_are_and_give_no_credit():
    control, _ = made_lists(1)
    drafted, team = draft(control, control, np.random.default_rng(2))
    assert np.array_equal(drafted, control)
    assert (team == -1).all()


def test_lists_have_the_planted_lift():
    random = np.random.default_rng(3)
    chances = random.dirichlet(np.full(100, 0.3), 500) + 1e-9
    control, treatment = lists_with_lift(chances, random)
    assert true_lift(chances, control, treatment) == pytest.approx(0.05, abs=0.01)
    assert true_lift(chances, control, control) == 0


def test_every_rule_finds_a_large_lift_and_none_without():
    random = np.random.default_rng(4)
    for lift, is_there in ((1.0, True), (0.0, False)):
        days = simulate(3000, lift, random)
        arms = sums_by_day(days, ~days.is_treatment), sums_by_day(days, days.is_treatment)
        assert len(arms[0]) == N_DAYS
        found = found_by(arms, n_planned=3000)
        assert found.pop("sample ratio") is False
        assert found["always valid"] == found["group sequential"] == found["fixed"] == is_there
        assert all(found.values()) or not is_there


def test_intervals_of_shares_are_exact():
    assert share_of(0, 100)[1:] == pytest.approx((0, 1 - 0.025**0.01))
    assert share_of(100, 100)[1:] == pytest.approx((0.025**0.01, 1))


def test_a_small_run_prints_every_figure(monkeypatch, capsys):
    small = benchmark._Size(5, 3, 1500, ((1500, 0.1),), 1000, 200, 50, 2500, 4)
    monkeypatch.setattr(benchmark, "_QUICK", small)
    assert benchmark.main(["--quick"]) == 0
    output = capsys.readouterr()
    figures = [json.loads(line) for line in output.out.splitlines()]
    ours = {line["metric"]: line["value"] for line in figures if line["subject"] == "marquee"}
    assert ours.keys() == {"false_positive_share", "srm_alarm_share", "power", "interleaving_gain",
                           "log_estimate_coverage"}  # fmt: skip
    assert ours["interleaving_gain"] > 3
    assert all(0 <= line["promised"] <= 1 for line in figures if line["metric"] == "power")
    assert "| A/B test " in output.err
