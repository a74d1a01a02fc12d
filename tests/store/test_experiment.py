"""The experiment's file, and the assignment of users to arms."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.assignment import arm_by_bucket, arm_function
from store.errors import ExperimentError
from store.experiment import (
    Arm,
    Experiment,
    GuardrailMargin,
    experiment_file,
    read_experiment,
    write_experiment,
)

EXPERIMENT = Experiment(
    name="half-life",
    kind="ab",
    salt="s1",
    started_at="2026-11-28T02:00:00+00:00",
    planned_days=14,
    arms=(Arm("control", 0.5, 41), Arm("treatment", 0.5, 42, {"batch.model": "ials"})),
    metric="click_through",
    min_effect=0.05,
    alpha=0.05,
    power=0.8,
    guardrails=(GuardrailMargin("availability", 0.001),),
)
N_USERS = 40_000
FORMS = {
    "sequential": [b"%d" % number for number in range(100_000, 100_000 + N_USERS)],
    "even": [b"%07d" % (8 * number) for number in range(N_USERS)],
    "named": [b"user-%x" % (number * 2654435761 % 2**40) for number in range(N_USERS)],
}


@pytest.fixture
def store(tmp_path):
    return tmp_path


def write(store, **changed):
    """Write the file with some fields replaced; None removes one."""
    document = json.loads(EXPERIMENT.as_text()) | changed
    kept = {key: value for key, value in document.items() if value is not None}
    experiment_file(store).write_text(json.dumps(kept))


def arms(**changed):
    first, second = json.loads(EXPERIMENT.as_text())["arms"]
    return [first, {**second, **changed}]


def test_what_is_written_is_read(store):
    assert read_experiment(store) is None
    write_experiment(store, EXPERIMENT)
    assert read_experiment(store) == EXPERIMENT
    assert experiment_file(store).read_text().startswith('{\n  "format_version": 1,\n  "name"')
    write_experiment(store, None)
    assert read_experiment(store) is None


def test_a_file_of_the_least_fields_is_read(store):
    """Guardrails, settings, teams, population and the version have defaults."""
    least = [{key: arm[key] for key in ("name", "share", "generation")} for arm in arms()]
    write(store, guardrails=None, teams=None, population=None, format_version=None, arms=least)
    read = read_experiment(store)
    assert read
    assert (read.guardrails, read.teams, read.population) == ((), (), "all")
    assert read.arms[1].settings == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format_version": 2}, "format version 2, but this code reads 1"),
        ({"looks": 14}, "'looks': unknown; a newer version may write it"),
        ({"salt": None}, "salt: missing"),
        ({"kind": "multi"}, "kind: 'multi' is not a valid value"),
        ({"name": "Half life"}, "name: 'Half life' is not a valid value"),
        ({"alpha": True}, "alpha: True is not a valid value"),
        ({"power": math.nan}, "power: nan is not a valid value"),
        ({"started_at": "yesterday"}, "'yesterday' is not a time"),
        ({"arms": arms()[:1]}, "2 to 4 arms of different names are required"),
        ({"arms": arms(name="control")}, "2 to 4 arms of different names are required"),
        ({"arms": arms(share=0.4)}, "the shares add up to 0.9 instead of 1"),
        ({"arms": arms(generation=0)}, "generation: 0 is not a valid value"),
        ({"arms": arms(weight=1)}, "'weight': unknown"),
        ({"arms": arms(settings={"model": 1})}, "settings: {'model': 1} is not a valid value"),
        ({"arms": ["control"]}, "'control' is not an object"),
        ({"guardrails": [{"metric": "cost"}]}, "margin: missing"),
        ({"kind": "interleave"}, "teams: two generations are required"),
        ({"population": "cold"}, "population: 'cold' is not a valid value"),
        ({"teams": [41, 42]}, "teams: two generations are required to interleave, and else none"),
    ],
    ids=str,
)
def test_what_is_not_valid_is_named(store, changed, message):
    write(store, **changed)
    with pytest.raises(ExperimentError) as raised:
        read_experiment(store)
    assert message in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff{}", b"{}" + b" " * 70_000])
def test_a_damaged_file_is_an_error(store, content):
    experiment_file(store).write_bytes(content)
    with pytest.raises(ExperimentError, match="is not a valid experiment"):
        read_experiment(store)


def test_a_folder_in_its_place_is_an_error(store):
    experiment_file(store).mkdir()
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_experiment(store)


def test_a_move_keeps_the_identity_and_changes_the_tag():
    moved = EXPERIMENT.moved({41: 43, 42: 44})
    assert moved.generations == [43, 44]
    assert (moved.identity, moved.arms[1].settings) == (
        EXPERIMENT.identity,
        {"batch.model": "ials"},
    )
    assert moved.tag != EXPERIMENT.tag
    assert dataclasses.replace(EXPERIMENT, salt="s2").identity != EXPERIMENT.identity


# The assignment


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.1], [0.25, 0.25, 0.25, 0.25]], ids=str)
def test_shares_are_met_within_noise(form, shares):
    """Under 5 standard errors in each arm, for several salts and forms of user ids."""
    for salt in ("a", "b", "2026-11"):
        arm_of = arm_function(salt, shares)
        found = [arm_of(user) for user in FORMS[form]]
        for arm, share in enumerate(shares):
            error = math.sqrt(N_USERS * share * (1 - share))
            assert abs(found.count(arm) - N_USERS * share) < 5 * error


@pytest.mark.parametrize("form", FORMS)
def test_two_salts_give_independent_arms(form):
    """Correlations of all pairs of 30 salts look like noise: no pair above 5 standard errors."""
    users = FORMS[form][:10_000]
    signs = [
        sum(1 << n for n, user in enumerate(users) if arm_of(user))
        for arm_of in (arm_function(f"salt-{number}", [0.5, 0.5]) for number in range(30))
    ]
    agreeing = [len(users) - (signs[i] ^ signs[j]).bit_count() for i in range(30) for j in range(i)]
    error = math.sqrt(len(users)) / 2
    assert max(abs(n - len(users) / 2) for n in agreeing) < 5 * error


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=70),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
    st.lists(st.integers(0, 100), min_size=2, max_size=4).filter(sum),
)
def test_every_user_has_one_arm_of_a_positive_share(user, salt, parts):
    """Always the same, whatever else was asked between."""
    shares = [part / sum(parts) for part in parts]
    arm = arm_function(salt, shares)(user)
    assert shares[arm] > 0
    assert arm == arm_function(salt, shares)(user)


def test_each_arm_has_its_share_of_the_buckets():
    """To half a bucket, which sampling by bucket would miss."""
    arms = arm_by_bucket("s1", (0.2, 0.3, 0.5))
    assert [arms.count(arm) for arm in range(3)] == [3277, 4915, 8192]


def test_the_assignment_is_stable():
    """Golden values: an experiment survives an upgrade."""
    arm_of = arm_function("s1", [0.5, 0.5])
    assert [arm_of(b"%d" % user) for user in range(16)] == [
        *(1, 0, 0, 0, 0, 0, 0, 1),
        *(0, 0, 0, 1, 1, 0, 1, 0),
    ]
