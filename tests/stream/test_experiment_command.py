"""`python -m stream experiment`: what is printed, written and refused."""

import json

import pytest

from store.experiment import read_experiment
from store.journal import journal
from store.layout import generations
from store.pointer import current
from store.snapshot import open_snapshot
from stream.__main__ import main
from tests.experiments import make_arm


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Generation 1 is current; 2 was built with other settings, 3 with the same."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "store"
    make_arm(path, "old", flip=True)
    make_arm(path, "new", arm="treatment", parameters={"overrides": {"batch.model": "ials"}})
    make_arm(path, "next")
    return path


@pytest.fixture
def run(store, capsys):
    """Run a verb; return its exit status, and what it printed."""

    def run(verb, *options):
        status = main(["experiment", verb, "--store", str(store), *options])
        return status, capsys.readouterr()

    return run


START = ("--name", "ials", "--arm", "treatment=2", "--why", "test")


def test_an_experiment_from_start_to_promotion(run, store):
    """Status shows arms, shares and settings; the journal has every change."""
    assert run("status")[0] == 1
    status, printed = run("start", *START, "--shares", "0.9", "0.1", "--salt", "s")
    assert status == 0
    assert printed.out.splitlines()[0].startswith("ials (ab), since ")
    experiment = read_experiment(store)
    assert experiment
    assert [(a.name, a.share, a.generation, a.settings) for a in experiment.arms] == [
        ("control", 0.9, 1, {}),
        ("treatment", 0.1, 2, {"batch.model": "ials"}),
    ]
    shown = json.loads(run("status", "--json")[1].out)
    assert (shown["is_in_force"], [arm["generation"] for arm in shown["arms"]]) == (True, [1, 2])
    assert shown["figures"] is None
    assert "no figures: var/log/access.log: cannot be read" in run("status")[1].out

    status, printed = run("promote", "treatment", "--why", "more clicks")
    assert (status, current(store), read_experiment(store)) == (0, 2, None)
    assert '  batch.model = "ials"' in printed.out.splitlines()
    assert [line.what for line in journal(store)] == ["publish", "start", "promote"]
    assert journal(store)[-1].why == "ials: treatment: more clicks"


def test_several_arms_and_a_stop(run, store):
    """Equal shares; guardrails are kept."""
    run("start", *START, "--arm", "same=3", "--guardrail", "availability=0.001", "--days", "7")
    experiment = read_experiment(store)
    assert experiment
    assert [round(arm.share, 6) for arm in experiment.arms] == [0.333333] * 3
    assert (experiment.guardrails[0].margin, experiment.planned_days) == (0.001, 7)
    assert (
        run("stop", "--why", "test")[1].out
        == "experiment ials is stopped; all users get the control\n"
    )
    assert (current(store), read_experiment(store)) == (1, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shares", "0.5", "0.4"), "the shares add up to 0.9 instead of 1"),
        (("--shares", "1"), "--shares: 1 shares for 2 arms"),
        (("--arm", "other=9"), "no such snapshot"),
        (("--name", "A b"), "name: 'A b' is not a valid value"),
        (("--power", "0.1"), "power: 0.1 is not a valid value"),
    ],
    ids=str,
)
def test_a_wrong_start_changes_nothing(run, store, options, message):
    status, printed = run("start", *START, *options)
    assert (status, read_experiment(store)) == (1, None)
    assert message in printed.err


@pytest.mark.parametrize(
    "options",
    [
        ("--arm", "treatment"),
        ("--arm", "treatment=new"),
        ("--arm", "=2"),
        ("--metric", "clicks"),
        ("--guardrail", "Cost=1"),
        ("--guardrail", "cost=low"),
    ],
    ids=" ".join,
)
def test_a_malformed_option_is_wrong_usage(run, options):
    with pytest.raises(SystemExit, match="2"):
        run("start", *START, *options)


def test_a_preset_names_metric_and_guardrails_and_asks_for_its_setting(run, store):
    """The arm of other settings is refused, and what was given stays."""
    preset = ("--preset", "licence-cost", "--guardrail", "rating=0.2")
    status, printed = run("start", *START, *preset)
    assert (status, read_experiment(store)) == (1, None)
    assert "generation 2 was built without rules.cost_weight; build one: `python -m" in printed.err
    make_arm(store, "cheap", parameters={"overrides": {"rules.cost_weight": 0.2}})
    assert run("start", *START, "--arm", "treatment=4", *preset)[0] == 0
    experiment = read_experiment(store)
    assert experiment
    guardrails = {one.metric: one.margin for one in experiment.guardrails}
    assert (experiment.metric, guardrails) == ("cost", {"rating": 0.2, "click_through": 0.02})


def test_the_preset_of_the_cold_start_counts_new_users(run, store):
    status, printed = run("start", *START, "--preset", "cold-start")
    assert status == 1
    assert "--arm treatment --set batch.preference_lists=false`" in printed.err
    make_arm(store, "plain", parameters={"overrides": {"batch.preference_lists": False}})
    status, printed = run("start", *START, "--arm", "treatment=4", "--preset", "cold-start")
    assert "figures of users without a view or rating before the start" in printed.out
    experiment = read_experiment(store)
    assert experiment
    assert (experiment.metric, experiment.population) == ("click_through", "new")


# Interleaving


def test_an_interleaving_from_start_to_promotion(run, store):
    """The merged snapshot is an arm of all users; the promotion is of the treatment itself."""
    status, printed = run("start", *START, "--kind", "interleave", "--salt", "s")
    assert status == 0
    assert "lists of generations 1 and 2 are interleaved" in printed.out
    experiment = read_experiment(store)
    assert experiment
    assert [(a.name, a.share, a.generation) for a in experiment.arms] == [
        ("control", 0, 1),
        ("interleaved", 1, 4),
    ]
    assert (experiment.teams, experiment.generations) == ((1, 2), [1, 2, 4])
    with open_snapshot(store, 4) as snapshot:
        body = snapshot.users.get(b"ann")
        assert body
        assert set(body.split(b",")) == {b"old-a", b"new-a", b"old-b", b"new-b"}
    assert run("promote", "interleaved", "--why", "x")[0] == 1
    assert run("promote", "treatment", "--why", "x")[0] == 0
    assert current(store) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arm", "other=3"), "an interleaving has two sides"),
        (("--shares", "0.5", "0.6"), "the shares add up to 1.1 instead of 1"),
        (("--power", "2"), "power: 2.0 is not a valid value"),
    ],
    ids=str,
)
def test_a_wrong_interleaving_builds_nothing(run, store, options, message):
    status, printed = run("start", *START, "--kind", "interleave", *options)
    assert (status, message in printed.err) == (1, True)
    assert generations(store) == [1, 2, 3]
