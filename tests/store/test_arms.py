"""Start, move, promote and stop of an experiment, and what else a store does meanwhile."""

import os

import pytest

from store.arms import (
    generations_of_experiments,
    move_arms,
    promote_arm,
    start_experiment,
    stop_experiment,
)
from store.doctor import problems
from store.errors import ExperimentError, NoSnapshotError, PinnedError, RefusedSnapshotError
from store.experiment import experiment_file, read_experiment
from store.journal import flips, journal
from store.layout import generations, snapshot_folder
from store.manifest import read_manifest
from store.pointer import current
from store.prune import prune
from store.publish import pin, publish, rollback, unpin, writing
from tests.experiments import experiment_of, make_arm
from tests.snapshots import REFUSED_GATE

EXPERIMENT = experiment_of(1, 2)


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


@pytest.fixture
def store(tmp_path):
    """A store whose generation 1 is current; 2 was built for an arm."""
    path = tmp_path / "store"
    make_arm(path, "old", flip=True)
    make_arm(path, "new", arm="treatment")
    return path


@pytest.fixture
def running(store):
    start_experiment(store, EXPERIMENT, "try it")
    return store


def kinds(store):
    return [line.what for line in journal(store)]


def test_a_start_is_recorded_and_read(running):
    """The arms are in force, and the journal names them; all users' generation stays."""
    assert read_experiment(running) == EXPERIMENT
    assert (current(running), kinds(running)) == (1, ["publish", "start"])
    assert journal(running)[-1].why == "test: control 1, treatment 2: try it"
    assert list(problems(running)) == []


@pytest.mark.parametrize(
    ("experiment", "error", "message"),
    [
        (experiment_of(2, 1), ExperimentError, "arm control: its generation 2 is not current"),
        (experiment_of(1, 7), NoSnapshotError, "no such snapshot"),
    ],
)
def test_arms_that_cannot_be_served_are_not_started(store, experiment, error, message):
    with pytest.raises(error, match=message):
        start_experiment(store, experiment, "test")
    assert read_experiment(store) is None


def test_a_refused_snapshot_is_not_started(store):
    refused = make_arm(store, "bad", gate=REFUSED_GATE)
    with pytest.raises(RefusedSnapshotError):
        start_experiment(store, experiment_of(1, refused), "test")
    assert not experiment_file(store).exists()


def test_one_experiment_at_a_time_and_none_while_pinned(running):
    with pytest.raises(ExperimentError, match="experiment test is running; stop or promote it"):
        start_experiment(running, EXPERIMENT, "test")
    stop_experiment(running, "test")
    pin(running, "test")
    with pytest.raises(PinnedError):
        start_experiment(running, EXPERIMENT, "test")


def test_a_stop_leaves_the_control_and_a_promotion_the_arm(running):
    assert stop_experiment(running, "test") == EXPERIMENT
    assert (current(running), read_experiment(running)) == (1, None)
    with pytest.raises(ExperimentError, match="no experiment is running"):
        stop_experiment(running, "test")
    start_experiment(running, EXPERIMENT, "test")
    with pytest.raises(ExperimentError, match="third: experiment test has no such arm"):
        promote_arm(running, "third", "test")
    assert promote_arm(running, "treatment", "test") == 2
    assert (current(running), read_experiment(running)) == (2, None)
    assert [line.what for line in flips(running)] == ["publish", "promote"]


def test_a_stop_of_another_experiment_changes_nothing(running):
    """The server names the one that it has stopped; another may run by then."""
    assert stop_experiment(running, "test", experiment_of(1, 2, salt="other").identity) is None
    assert read_experiment(running) == EXPERIMENT


def test_a_promotion_in_another_experiment_changes_nothing(running):
    with pytest.raises(ExperimentError, match="experiment test is running meanwhile"):
        promote_arm(running, "treatment", "better", EXPERIMENT.identity + 1)
    assert (current(running), read_experiment(running)) == (1, EXPERIMENT)
    assert promote_arm(running, "treatment", "better", EXPERIMENT.identity) == 2


def test_the_journal_has_the_generations_of_each_arm(running):
    """From the latest start of a name on, or of all experiments."""
    make_arm(running, "newer", arm="treatment")
    with writing(running):
        move_arms(running, EXPERIMENT.moved({2: 3}), "a refresh: of two arms")
    moved = {1: {"control"}, 2: {"treatment"}, 3: {"treatment"}}
    assert generations_of_experiments(running, "test") == moved
    stop_experiment(running, "control 7: no")
    start_experiment(running, experiment_of(1, 3, name="next"), "again")
    assert generations_of_experiments(running, "next") == {1: {"control"}, 3: {"treatment"}}
    assert generations_of_experiments(running) == moved


def test_a_damaged_experiment_is_reported_and_can_be_stopped(running):
    experiment_file(running).write_text("{")
    [problem] = problems(running)
    assert "is not a valid experiment" in problem.what
    assert problem.fix == "python -m stream experiment stop --why …"
    with writing(running), pytest.raises(ExperimentError):
        prune(running, 1)
    assert stop_experiment(running, "test") is None
    assert not experiment_file(running).exists()


@pytest.mark.parametrize(
    ("change", "generation"),
    [
        (lambda store: rollback(store, "test", 3), 3),
        (lambda store: pin(store, "test", 3), 3),
        (lambda store: pin(store, "test"), 1),
    ],
    ids=["rollback", "pin another", "pin"],
)
def test_the_operator_ends_an_experiment(running, change, generation):
    make_arm(running, "other")
    change(running)
    assert (current(running), read_experiment(running)) == (generation, None)
    assert kinds(running)[-2] == "stop"


def test_a_publish_from_elsewhere_ends_it_and_that_of_the_control_does_not(running):
    with writing(running):
        publish(running, 1, "again")
    assert read_experiment(running) == EXPERIMENT
    make_arm(running, "other", flip=True)
    assert (current(running), read_experiment(running)) == (3, None)


# What is kept, and what unpin serves


def test_an_arms_manifest_names_it_and_others_have_no_such_key(store):
    """So that earlier versions read the others; they refuse an arm's by its version."""
    arm, plain = (read_manifest(snapshot_folder(store, number)) for number in (2, 1))
    assert (arm.arm, arm.format_version) == ("treatment", 3)
    assert (plain.arm, plain.format_version) == (None, 1)
    assert '"arm"' not in (snapshot_folder(store, 1) / "MANIFEST.json").read_text()


def test_unpin_serves_no_arm_unless_it_was_promoted(store):
    pin(store, "test")
    assert unpin(store, "test") == 1
    start_experiment(store, EXPERIMENT, "test")
    promote_arm(store, "treatment", "test")
    pin(store, "test", 1)
    assert unpin(store, "test") == 2


def test_arms_do_not_count_for_what_is_kept(running):
    """Two ordinary snapshots, two of each arm, and those of the running experiment."""
    for _ in range(3):
        make_arm(running, "more")
        make_arm(running, "arm", arm="treatment")
    make_arm(running, "arm", arm="other")
    with writing(running):
        removed = prune(running, keep=2)
    # 1 and 2 are of the experiment; 3, 5, 7 are ordinary; 4, 6, 8 of arm treatment.
    assert removed == [3, 4]
    assert generations(running) == [1, 2, 5, 6, 7, 8, 9]


# Crashes


@pytest.mark.parametrize("what", ["move", "promote"])
@pytest.mark.parametrize("n_replaces", range(3))
def test_a_crash_leaves_the_arms_of_one_time(running, monkeypatch, what, n_replaces):
    """After the next writer `CURRENT` is the control's; no arm has moved alone."""
    make_arm(running, "next"), make_arm(running, "last", arm="treatment")
    replace, left = os.replace, [n_replaces]

    def cut(*args):
        if not left[0]:
            raise PowerCut
        left[0] -= 1
        return replace(*args)

    monkeypatch.setattr(os, "replace", cut)
    try:
        if what == "promote":
            promote_arm(running, "treatment", "test")
        else:
            with writing(running):
                move_arms(running, EXPERIMENT.moved({1: 3, 2: 4}), "test")
    except PowerCut:
        pass
    monkeypatch.undo()
    with writing(running):
        pass

    experiment = read_experiment(running)
    if experiment is None:
        assert (what, current(running)) == ("promote", 2)
    else:
        assert experiment.control.generation == current(running)
        assert experiment.generations in ([1, 2], [3, 4])
    assert flips(running)[-1].generation == current(running)
    assert list(problems(running)) == []
