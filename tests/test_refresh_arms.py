"""A refresh while an experiment runs: one snapshot an arm, and all arms move together."""

import pytest

from batch.__main__ import main
from store.experiment import read_experiment
from store.journal import journal
from store.layout import generations, snapshot_folder
from store.manifest import read_manifest
from store.pointer import current
from store.snapshot import open_snapshot
from stream.__main__ import main as stream
from tests.histories import write_history
from tests.refreshes import inputs, run_refresh

MODEL = ("--arm", "treatment", "--set", "batch.model=popularity")


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    return write_history(tmp_path / "history")


@pytest.fixture
def store(history, tmp_path, capsys, monkeypatch):
    """Generation 1 is current; 2 is of another model."""
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "als")
    path = tmp_path / "store"
    run_refresh(capsys, "--store", path, *inputs(history))
    found = run_refresh(capsys, "--store", path, *inputs(history), *MODEL)
    assert (found["generation"], found["is_current"], found["arms"]) == (2, False, {"treatment": 2})
    return path


def start(store, capsys, arm="treatment=2", kind="ab"):
    options = [
        "--name",
        "model",
        "--arm",
        arm,
        "--why",
        "test",
        "--store",
        str(store),
        "--kind",
        kind,
    ]
    assert stream(["experiment", "start", *options]) == 0
    capsys.readouterr()


def lists(store, generation):
    with open_snapshot(store, generation) as snapshot:
        return dict(snapshot.users)


def test_all_arms_get_new_generations(store, history, capsys):
    """Each built with its own settings; they move at one time, and keep their names."""
    assert journal(store)[-1].what == "built"
    start(store, capsys)
    found = run_refresh(capsys, "--store", store, *inputs(history))
    assert (found["generation"], found["is_current"], found["arms"]) == (3, True, {"treatment": 4})
    experiment = read_experiment(store)
    assert experiment
    assert [arm.generation for arm in experiment.arms] == [3, 4]
    assert [read_manifest(snapshot_folder(store, n)).arm for n in (3, 4)] == [None, "treatment"]
    assert lists(store, 4) == lists(store, 2) != lists(store, 3)
    assert lists(store, 3).keys() == lists(store, 1).keys()
    assert (journal(store)[-1].what, current(store)) == ("move", 3)


def test_fixed_generations_hold_the_store(store, history, capsys):
    """As a pin does: the new snapshot is built and kept, and both arms stay."""
    run_refresh(capsys, "--store", store, *inputs(history), "--arm", "same")
    start(store, capsys, "treatment=3")
    found = run_refresh(capsys, "--store", store, *inputs(history))
    assert (found["generation"], found["is_current"]) == (4, False)
    assert current(store) == 1
    assert journal(store)[-1].why.endswith("experiment model holds the store")


def test_interleaved_lists_are_merged_anew(store, history, capsys):
    """Of the new generations of both teams."""
    start(store, capsys, kind="interleave")
    run_refresh(capsys, "--store", store, *inputs(history))
    experiment = read_experiment(store)
    assert experiment
    assert (experiment.teams, [arm.generation for arm in experiment.arms]) == ((4, 5), [4, 6])
    both = (lists(store, 4), lists(store, 5))
    for user, body in lists(store, 6).items():
        merged = {*body.split(b",")}
        assert merged <= {name for one in both for name in one[user].split(b",")}
    assert current(store) == 4


def test_no_arm_moves_if_the_gate_refuses_one(store, history, tmp_path, capsys):
    """Of a log with a third of the users."""
    start(store, capsys)
    lines = history.events.read_text().splitlines(keepends=True)
    fewer = tmp_path / "fewer.log"
    fewer.write_text("".join(lines[: len(lines) // 30]))
    options = ["--events", fewer, "--catalogue", history.catalogue, "--store", store]
    status = main(["refresh", *map(str, options)])
    assert (status, current(store)) == (3, 1)
    experiment = read_experiment(store)
    assert experiment
    assert experiment.generations == [1, 2]
    assert set(generations(store)) >= {1, 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arm", "a", "--set", "batch.events=x"), "batch.events: is not a setting of an arm"),
        (("--arm", "a", "--set", "gate.min_users=0"), "gate.min_users: is not a setting of an arm"),
        (("--arm", "a", "--set", "batch.nope=1"), "[batch] has no such key"),
        (("--arm", "a", "--set", "rules.cap=7"), "cap must lie"),
        (("--arm", "a", "--set", "batch.n_factors=many"), "must be of type int"),
        (("--set", "batch.model=als"), "--set: overrides settings of an arm, but no arm is named"),
    ],
    ids=str,
)
def test_settings_that_an_arm_cannot_have(history, tmp_path, capsys, options, message):
    """Nothing is read or built."""
    store = tmp_path / "store"
    arguments = ["refresh", "--store", store, *inputs(history), *options]
    assert main([*map(str, arguments)]) == 1
    assert message in capsys.readouterr().err
    assert not store.exists()
