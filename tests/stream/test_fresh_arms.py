"""The speed layer in an experiment: each user is folded into the model of their arm."""

import shutil

import pytest

from store.arms import move_arms, promote_arm, start_experiment, stop_experiment
from store.experiment import experiment_file
from store.fresh import FreshList, FreshWriter, decode, fresh_file, open_fresh
from store.interleave import interleave
from store.publish import publish, writing
from store.takedown import restore, take_down
from stream.fresh.explain import explain_list
from stream.fresh.layer import SpeedLayer
from stream.fresh.metrics import FreshMetrics
from stream.fresh.settings import FreshSettings
from tests.experiments import experiment_of
from tests.stream.fresh_snapshots import expected_lists, write_segment, write_snapshot
from tests.stream.test_fresh_lists import latest_of, run_layer

MODELS = ("ials", "ease", "item_knn", "spectral")


@pytest.fixture
def folders(tmp_path, world, fitted, before, after):
    """Generations 1 to 4 of different models, of which 1 is current, and later events."""
    store, events = tmp_path / "store", tmp_path / "events"
    for name in MODELS:
        write_snapshot(store, world, fitted[name], world.interactions(before))
    publish(store, 1, "test")
    write_segment(events, after, 1)
    return store, events


def fresh_of(store):
    """Return the fresh list of each user, from a copy, since a layer may have the file open."""
    copy = store / "copy"
    copy.mkdir(exist_ok=True)
    shutil.copyfile(fresh_file(store), fresh_file(copy))
    with FreshWriter(copy) as writer:
        users = [user for some in writer.users(100) for user in some]
    lists = open_fresh(copy)
    assert lists
    made = {user: decode(user, lists.get(user) or b"") for user in users}
    lists.close()
    assert all(made.values())
    return made


@pytest.fixture
def check(folders, world, before, after):
    """Check that each user's list is, byte for byte, the batch's by the generation of the arm."""

    def lists_of(hidden=()):  # while no layer has the snapshots open
        return {
            generation: expected_lists(
                folders[0], world, before + after, latest_of(world, before),
                generation=generation, hidden=hidden,
            )
            for generation in range(1, len(MODELS) + 1)
        }  # fmt: skip

    lists = lists_of()

    def check(assignment, *, hidden=()):
        expected = lists_of(hidden) if hidden else lists
        made = fresh_of(folders[0])
        of_user = assignment_of(assignment)
        assert {user: one.generation for user, one in made.items()} == {
            user: of_user(user) for user in made
        }
        assert {user: (one.body, one.spares) for user, one in made.items()} == {
            user: expected[of_user(user)][user] for user in made
        }
        assert {f"u{n:02d}".encode() for n in (40, 44)} <= made.keys()
        return made

    return check


def assignment_of(generations):
    if len(generations) == 1:
        return lambda _: generations[0]
    return experiment_of(*generations).assignment.generation_function()


@pytest.mark.parametrize("generations", [(1, 2), (1, 3), (1, 4, 2), (1, 2, 3, 4)], ids=str)
def test_each_users_arm_decides_whose_model_folds_in(folders, check, generations):
    """Every model against every other; every arm has users with a fresh list."""
    start_experiment(folders[0], experiment_of(*generations), "test")
    run_layer(*folders)
    made = check(generations)
    assert {one.generation for one in made.values()} == {*generations}
    explained = explain_list(folders[0], "u40")
    assert explained.generation == made[b"u40"].generation
    assert ",".join(explained.answer.items).encode() == made[b"u40"].body
    assert any(one.because for one in explained.why)


def test_a_change_of_arms_makes_only_the_lists_again_whose_generation_changed(folders, check):
    """At start, move, promotion and stop, under one running layer and in new ones."""
    store, events = folders
    experiment = experiment_of(1, 2)
    changes = [
        (lambda: None, (1,)),
        (lambda: start_experiment(store, experiment, "test"), (1, 2)),
        (lambda: stop_experiment(store, "test"), (1,)),
        (lambda: start_experiment(store, experiment, "test"), (1, 2)),
        (lambda: move(store, experiment.moved({1: 3, 2: 4})), (3, 4)),
        (lambda: promote_arm(store, "treatment", "test"), (4,)),
    ]
    before: dict[bytes, FreshList] = {}
    was_of = None
    settings = FreshSettings(batch_users=7)
    with (
        FreshWriter(store) as writer,
        SpeedLayer(store, events, settings, writer, FreshMetrics()) as layer,
    ):
        for change, generations in changes:
            change()
            while layer.step():
                pass
            before, was_of = check_kept(check, generations, before, was_of)
    for change, generations in [
        (lambda: start_experiment(store, experiment_of(4, 1), "test"), (4, 1)),
        (lambda: stop_experiment(store, "test"), (4,)),
    ]:
        change()
        run_layer(*folders)
        before, was_of = check_kept(check, generations, before, was_of)


def check_kept(check, generations, before, was_of):
    made, is_of = check(generations), assignment_of(generations)
    kept = {user for user in made if was_of and was_of(user) == is_of(user)}
    assert {user for user in made if made[user] == before.get(user)} == kept
    assert made.keys() >= before.keys()
    return made, is_of


def move(store, moved):
    with writing(store):
        move_arms(store, moved, "test")


def test_a_takedown_acts_in_every_arm(folders, check):
    store = folders[0]
    start_experiment(store, experiment_of(1, 2), "test")
    run_layer(*folders)
    take_down(store, ["i00", "i03"], "test")
    run_layer(*folders)
    check((1, 2), hidden=(0, 3))
    restore(store, ["i00", "i03"], "test")
    run_layer(*folders)
    check((1, 2))


def test_a_merged_list_has_no_model_and_the_control_goes_on(folders, check, caplog):
    """Of an interleaving: its users get the merged list, and say so in the log."""
    store = folders[0]
    with writing(store):
        merged = interleave(store, 1, 2, "salt").generation
    experiment = experiment_of(1, merged, kind="interleave", teams=(1, 2))
    start_experiment(store, experiment, "test")
    run_layer(*folders)
    is_control = experiment.assignment.generation_function()
    made = fresh_of(store)
    assert made
    assert all(is_control(user) == 1 == one.generation for user, one in made.items())
    assert f"generation {merged}: no fresh lists" in caplog.text


def test_with_a_damaged_experiment_all_users_get_lists_of_the_current_generation(folders, check):
    """As from the server; what had been made for the arms is not kept."""
    store = folders[0]
    start_experiment(store, experiment_of(1, 2), "test")
    run_layer(*folders)
    experiment_file(store).write_text("{")
    run_layer(*folders)
    check((1,))
