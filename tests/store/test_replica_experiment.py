"""Push and pull of a running experiment: EXPERIMENT with every generation that it names."""

import pytest

from store.arms import move_arms, promote_arm, start_experiment, stop_experiment
from store.config import StoreSettings
from store.errors import ReplicaError
from store.experiment import experiment_file, read_experiment
from store.journal import journal
from store.layout import generations
from store.pointer import current
from store.publish import pin, writing
from store.signing import SigningKey, make_key
from tests.experiments import experiment_of, make_arm
from tests.store.replicas import pull_from, push_to, snapshot_files

EXPERIMENT = experiment_of(1, 2)


@pytest.fixture
def running(store):
    make_arm(store, "old", flip=True)
    make_arm(store, "new", arm="treatment")
    start_experiment(store, EXPERIMENT, "test")
    return store


def sync(store, there, node):
    push_to(there, store)
    return pull_from(there, node)


def test_a_node_serves_the_same_arms_through_start_move_and_stop(running, there, node):
    done = sync(running, there, node)
    assert (done.generation, done.is_current, done.has_changed) == (1, True, True)
    assert read_experiment(node) == EXPERIMENT
    assert generations(node) == generations(there) == [1, 2]
    assert snapshot_files(node, 2) == snapshot_files(running, 2)
    assert not sync(running, there, node).has_changed

    make_arm(running, "next"), make_arm(running, "last", arm="treatment")
    moved = EXPERIMENT.moved({1: 3, 2: 4})
    with writing(running):
        move_arms(running, moved, "test")
    sync(running, there, node)
    assert (current(node), read_experiment(node)) == (3, moved)

    stop_experiment(running, "test")
    assert sync(running, there, node).has_changed
    assert (current(node), read_experiment(node)) == (3, None)
    assert [line.what for line in journal(node)] == ["move", "move", "stop"]
    assert not experiment_file(there).exists()


def test_a_node_follows_a_promotion(running, there, node):
    sync(running, there, node)
    promote_arm(running, "treatment", "test")
    sync(running, there, node)
    assert (current(node), read_experiment(node)) == (2, None)


def test_a_pinned_node_fetches_the_arms_and_serves_none(running, there, node):
    sync(running, there, node)
    pin(node, "test")
    assert read_experiment(node) is None
    assert not sync(running, there, node).has_changed
    assert (current(node), read_experiment(node)) == (1, None)


def test_a_push_of_another_generation_carries_no_experiment(running, there, node):
    """The experiment is of the current one; a remote that had it loses it."""
    push_to(there, running)
    push_to(there, running, 2)
    assert not experiment_file(there).exists()
    pull_from(there, node)
    assert (current(node), read_experiment(node)) == (2, None)


def test_an_experiment_between_two_files_of_a_push_is_not_followed(running, there, node):
    """`EXPERIMENT` is pushed before `CURRENT`: its control is not current there yet."""
    push_to(there, running)
    experiment_file(there).write_text(EXPERIMENT.moved({1: 3, 2: 4}).as_text())
    pull_from(there, node)
    assert (current(node), read_experiment(node)) == (1, None)


def test_a_damaged_experiment_is_refused(running, there, node):
    push_to(there, running)
    experiment_file(there).write_text("{}")
    with pytest.raises(ReplicaError, match="is not a valid experiment"):
        pull_from(there, node)


def test_a_signed_experiment_cannot_be_forged_or_put_back(running, there, node, tmp_path):
    """Neither another one, nor the last one after its end."""
    make_key(tmp_path / "push.key")
    key = SigningKey(tmp_path / "push.key")
    trusting = StoreSettings(keep=100, trusted_keys=(key.public,))
    push_to(there, running, key=key)
    pull_from(there, node, trusting)
    assert read_experiment(node) == EXPERIMENT
    signed = {path.name: path.read_bytes() for path in there.iterdir() if "EXPERIMENT" in path.name}
    assert signed.keys() == {"EXPERIMENT", "EXPERIMENT.sig"}

    experiment_file(there).write_text(experiment_of(1, 2, salt="forged").as_text())
    with pytest.raises(ReplicaError, match="signature"):
        pull_from(there, node, trusting)

    stop_experiment(running, "test")
    push_to(there, running, key=key)
    pull_from(there, node, trusting)
    assert read_experiment(node) is None
    for name, content in signed.items():
        (there / name).write_bytes(content)
    with pytest.raises(ReplicaError, match="serial number"):
        pull_from(there, node, trusting)
