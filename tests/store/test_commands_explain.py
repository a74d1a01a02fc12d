"""`explain`: which generation answered at a time; the tests set the journal's times."""

import json
import random
import re
import shutil
import time

import pytest

from store.arms import start_experiment
from store.experiment import experiment_file
from store.explain import explain
from store.fresh import FreshList, FreshWriter
from store.layout import snapshot_folder
from store.prune import prune
from store.publish import rollback, writing
from store.snapshot import open_snapshot
from store.takedown import take_down
from store.takedown_filter import FilteredLists
from tests.experiments import experiment_of
from tests.snapshots import make_snapshot


def ran(done, status=0):
    """Return the output of a command that ended with `status`, and did not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def explained(command, *arguments):
    """Return the JSON output of `explain`."""
    return json.loads(ran(command("explain", *arguments, "--json")))


@pytest.fixture
def history(two):
    """Generation 1 is served from 1 March, 2 from 2 March, 1 again from 3 March."""
    rollback(two, "lists of 2 look wrong")
    lines = (two / "JOURNAL").read_text().splitlines()
    dated = (
        re.sub(r"^[^\t]+", f"2026-03-0{day}T03:00:00+00:00", line)
        for day, line in enumerate(lines, 1)
    )
    (two / "JOURNAL").write_text("".join(f"{line}\n" for line in dated))
    return two


def test_explain_now(history, command):
    """The list and its provenance."""
    found = explained(command, "ann")
    assert (found["generation"], found["source"], found["items"]) == (1, "list", ["a", "b"])
    assert found["flip"]["what"] == "rollback"
    assert found["code_version"] == "test"
    assert {"inputs", "parameters", "gate"} <= found.keys()


def test_a_fresh_list_is_explained_where_it_is_the_answer(two, command):
    """With its time; not one of another generation, one that is too old, or a damaged one."""

    def write(generation=2, hours=0.0, user=b"ann"):
        made = FreshList(generation, time.time() - 3600 * hours, b"x,a", b"b")
        with FreshWriter(two) as writer:
            writer.put([(user, made, b"")])
        return made

    made = write(hours=0.01)
    take_down(two, ["x"], "test")
    found = explained(command, "ann")
    assert (found["source"], found["items"], found["made_at"]) == (
        "fresh",
        ["a", "b"],
        made.made_at,
    )
    assert found["withheld"] == ["x"]
    output = ran(command("explain", "ann"))
    assert re.search(
        r"^source +fresh\n+made +20.*, (35|36|37|38|39|4.) s ago$", output, re.MULTILINE
    )
    write(generation=1)
    assert explain(two, "ann").source == "list"
    write(hours=25)
    assert explain(two, "ann").source == "list"
    assert explain(two, "ann", fresh_hours=26).source == "fresh"


def test_in_an_experiment_the_list_is_that_of_the_users_arm(two, command):
    """With its name; at a past time and without an experiment no arm is known."""
    assert explained(command, "ann")["arm"] is None
    experiment = experiment_of(2, 1)
    start_experiment(two, experiment, "test")
    arm_of = experiment.arm_function()
    other = next(f"u{n}" for n in range(20) if arm_of(b"u%d" % n) != arm_of(b"ann"))
    for user in ("ann", other):
        arm = experiment.arms[arm_of(user.encode())]
        found = explained(command, user)
        assert (found["arm"], found["generation"]) == (arm.name, arm.generation)
        with open_snapshot(two, arm.generation) as snapshot:
            own = snapshot.users.get(user.encode()) or snapshot.fallback.get(b"popular")
        assert own
        assert found["items"] == own.decode().split(",")
        assert re.search(rf"^arm +{arm.name}$", ran(command("explain", user)), re.MULTILINE)
    experiment_file(two).write_text("{")
    assert explained(command, "ann")["arm"] is None


def test_ls_names_the_arms(two, command):
    """In a column, which is there only in an experiment; a damaged file is reported."""
    assert "arm" not in ran(command("ls"))
    start_experiment(two, experiment_of(2, 1), "test")
    lines = ran(command("ls")).splitlines()
    assert lines[1] == "experiment test: control 2, treatment 1"
    assert [line.split()[-1] for line in lines[2:]] == ["arm", "control", "treatment"]
    found = json.loads(ran(command("ls", "--json")))
    assert found["experiment"] == "test"
    assert [one["arms"] for one in found["snapshots"]] == [["control"], ["treatment"]]
    experiment_file(two).write_text("{")
    done = command("ls")
    assert "is not a valid experiment" in done.stderr
    assert "arm" not in ran(done)


def test_explain_as_text(history, command):
    """One line for each field."""
    output = ran(command("explain", "ann"))
    assert re.search(r"^generation +1$", output, re.MULTILINE)
    assert re.search(r"^answer +a,b$", output, re.MULTILINE)
    assert re.search(r"^current since +rollback at 2026-03-03.*: lists of 2", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("at", "generation", "items"),
    [
        ("2026-03-01T03:00:00+00:00", 1, ["a", "b"]),
        ("2026-03-02T02:59:59", 1, ["a", "b"]),
        ("2026-03-02T04:00:00+01:00", 2, ["b", "c"]),
        ("2026-03-03", 2, ["b", "c"]),
        ("2026-03-04", 1, ["a", "b"]),
    ],
)
def test_explain_at_a_time(history, command, at, generation, items):
    """A time without a zone is UTC, a date its midnight."""
    found = explained(command, "ann", "--at", at)
    assert (found["generation"], found["items"]) == (generation, items)


def test_explain_of_an_unknown_user_is_the_popular_list(history, command):
    """The server answers the same."""
    found = explained(command, "nobody")
    assert (found["source"], found["items"]) == ("popular", ["b", "c"])


def test_explain_without_a_popular_list_is_no_list(store, command):
    """The source is `none`."""
    make_snapshot(store, {"ann": ["a"]}, [])
    found = explained(command, "nobody")
    assert (found["source"], found["items"]) == ("none", [])


def test_explain_of_a_pruned_generation_shows_its_manifest(history, command):
    """The list is missing; inputs, code version and gate are there."""
    with writing(history):
        assert prune(history, keep=1) == []
    shutil.copy(snapshot_folder(history, 2) / "MANIFEST.json", history / "000002.json")
    (history / "manifests").mkdir(exist_ok=True)
    (history / "000002.json").rename(history / "manifests" / "000002.json")
    shutil.rmtree(snapshot_folder(history, 2))
    found = explained(command, "ann", "--at", "2026-03-02T12:00")
    assert (found["generation"], found["source"], found["items"]) == (2, None, None)
    assert found["gate"] == {"result": "passed"}
    assert "the snapshot was pruned" in ran(command("explain", "ann", "--at", "2026-03-02T12:00"))


def test_explain_now_names_withheld_items(two, command):
    """Takedowns apply to the answer now."""
    take_down(two, ["b"], "rights")
    found = explained(command, "ann")
    assert (found["items"], found["withheld"]) == (["c", "a"], ["b"])


def test_explain_at_a_time_ignores_takedowns(history, command):
    """An item that is taken down today was shown then."""
    take_down(history, ["b"], "rights")
    found = explained(command, "ann", "--at", "2026-03-04")
    assert (found["items"], found["withheld"]) == (["a", "b"], [])


def test_explain_answers_as_the_server_does(store):
    """The same bytes for every user, with 12 items taken down."""
    rng, names = random.Random(7), [f"i{n}" for n in range(40)]
    lists = {f"u{n}": rng.sample(names, rng.randint(1, 20)) for n in range(30)}
    spares = {u: rng.sample([n for n in names if n not in lists[u]], 10) for u in lists}
    make_snapshot(store, lists, names[:20], spares=spares, segments={"reserve": names[20:]})
    hidden = rng.sample(names, 12)
    take_down(store, hidden, "rights")
    found = {user: explain(store, user) for user in lists}
    with open_snapshot(store, 1) as snapshot:
        served = FilteredLists(snapshot, [name.encode() for name in hidden])
        for user, explanation in found.items():
            assert ",".join(explanation.items or []).encode() == served.get(user.encode())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ann", "--at", "2026-02-28"], "nothing was served at 2026-02-28"),
        (["ann", "--at", "9000-01-01"], "is in the future"),
        (["ann", "--at", "yesterday"], "'yesterday': is not a time"),
        (["an n"], "is not a valid user id"),
        ([""], "is not a valid user id"),
    ],
)
def test_a_bad_time_or_user_is_1(history, command, arguments, message):
    """One line on standard error."""
    done = command("explain", *arguments)
    assert ran(done, 1) == ""
    (line,) = done.stderr.splitlines()
    assert message in line


def test_explain_without_snapshot_and_manifest_is_1(history, command):
    """The journal has the generation, but its manifest is missing."""
    shutil.rmtree(snapshot_folder(history, 2))
    done = command("explain", "ann", "--at", "2026-03-02T12:00")
    assert ran(done, 1) == ""
    assert "generation 2 was pruned, and its manifest is missing" in done.stderr


@pytest.mark.parametrize("at", [[], ["--at", "2026-03-01"]])
def test_explain_in_an_empty_store_is_1(command, store, at):
    """One line, and the store is not created."""
    done = command("explain", "ann", *at)
    assert ran(done, 1) == ""
    assert len(done.stderr.splitlines()) == 1
    assert not store.exists()
