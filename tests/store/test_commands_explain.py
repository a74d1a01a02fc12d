"""`explain`: who answered what, and when; the journal's times are set by the tests."""

import json
import random
import re
import shutil

import pytest

from store.explain import explain
from store.layout import snapshot_folder
from store.prune import prune
from store.publish import rollback, writing
from store.snapshot import open_snapshot
from store.takedown import take_down
from store.takedown_filter import FilteredLists
from tests.snapshots import make_snapshot


def ran(done, status=0):
    """Return the output of a command that ended with `status`, and did not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def explained(command, *arguments):
    """Return an explanation for programs."""
    return json.loads(ran(command("explain", *arguments, "--json")))


@pytest.fixture
def history(two):
    """1 is served from 1 March, 2 from 2 March, 1 again from 3 March."""
    rollback(two, "lists of 2 look wrong")
    lines = (two / "JOURNAL").read_text().splitlines()
    dated = (
        re.sub(r"^[^\t]+", f"2026-03-0{day}T03:00:00+00:00", line)
        for day, line in enumerate(lines, 1)
    )
    (two / "JOURNAL").write_text("".join(f"{line}\n" for line in dated))
    return two


def test_explain_tells_what_is_answered_now(history, command):
    """The list, and where it came from."""
    found = explained(command, "ann")
    assert (found["generation"], found["source"], found["items"]) == (1, "list", ["a", "b"])
    assert found["flip"]["what"] == "rollback"
    assert found["code_version"] == "test"
    assert {"inputs", "parameters", "gate"} <= found.keys()


def test_explain_for_people(history, command):
    """The same, a line a fact."""
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
def test_explain_tells_what_was_answered_then(history, command, at, generation, items):
    """A time without a zone is UTC, a date its midnight."""
    found = explained(command, "ann", "--at", at)
    assert (found["generation"], found["items"]) == (generation, items)


def test_explain_of_an_unknown_user_is_the_popular_list(history, command):
    """It is what the service answers."""
    found = explained(command, "nobody")
    assert (found["source"], found["items"]) == ("popular", ["b", "c"])


def test_explain_without_a_popular_list_is_no_list(store, command):
    """Nothing to answer with."""
    make_snapshot(store, {"ann": ["a"]}, [])
    found = explained(command, "nobody")
    assert (found["source"], found["items"]) == ("none", [])


def test_explain_of_a_pruned_generation_tells_what_the_manifest_knows(history, command):
    """The list is gone; inputs, code and gate are not."""
    with writing(history):
        assert prune(history, keep=1) == []
    shutil.copy(snapshot_folder(history, 2) / "MANIFEST.json", history / "000002.json")
    (history / "manifests").mkdir(exist_ok=True)
    (history / "000002.json").rename(history / "manifests" / "000002.json")
    shutil.rmtree(snapshot_folder(history, 2))
    found = explained(command, "ann", "--at", "2026-03-02T12:00")
    assert (found["generation"], found["source"], found["items"]) == (2, None, None)
    assert found["gate"] == {"passed": True}
    assert "the snapshot is gone" in ran(command("explain", "ann", "--at", "2026-03-02T12:00"))


def test_explain_tells_what_takedowns_change(two, command):
    """Now, and not in the past."""
    take_down(two, ["b"], "rights")
    found = explained(command, "ann")
    assert (found["items"], found["withheld"]) == (["c", "a"], ["b"])


def test_explain_then_knows_no_takedowns(history, command):
    """What is taken down today was shown then."""
    take_down(history, ["b"], "rights")
    found = explained(command, "ann", "--at", "2026-03-04")
    assert (found["items"], found["withheld"]) == (["a", "b"], [])


def test_explain_answers_as_the_server_does(store):
    """Every user, whatever is taken down: the same bytes."""
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
            assert ",".join(explanation.items).encode() == served.get(user.encode())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ann", "--at", "2026-02-28"], "nothing was served yet at 2026-02-28"),
        (["ann", "--at", "9000-01-01"], "is still to come"),
        (["ann", "--at", "yesterday"], "'yesterday': is no time"),
        (["an n"], "is no user id"),
        ([""], "is no user id"),
    ],
)
def test_what_cannot_be_explained_is_1(history, command, arguments, message):
    """One line that says why."""
    done = command("explain", *arguments)
    assert ran(done, 1) == ""
    (line,) = done.stderr.splitlines()
    assert message in line


def test_explain_without_snapshot_and_manifest_is_1(history, command):
    """The journal knows the number, and nobody knows more."""
    shutil.rmtree(snapshot_folder(history, 2))
    done = command("explain", "ann", "--at", "2026-03-02T12:00")
    assert ran(done, 1) == ""
    assert "generation 2 is gone, its manifest too" in done.stderr


@pytest.mark.parametrize("at", [[], ["--at", "2026-03-01"]])
def test_explain_in_an_empty_store_is_1(command, store, at):
    """One line, and no store is made."""
    done = command("explain", "ann", *at)
    assert ran(done, 1) == ""
    assert len(done.stderr.splitlines()) == 1
    assert not store.exists()
