"""The verbs of an operator: ls, pin, unpin, prune, takedown, restore."""

import json
import os

import pytest

from store.__main__ import main
from store.journal import journal
from store.layout import generations, snapshot_folder
from store.pointer import current, pinned
from store.publish import pin
from store.takedown import takedowns
from tests.snapshots import files_of, make_snapshot


def ran(done, status=0):
    """Return the output of a command that ended with `status`, without a traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def refused(done):
    """Return the one line on standard error of a command that ended with 1."""
    assert ran(done, 1) == ""
    (line,) = done.stderr.splitlines()
    return line


# ls


def test_ls_shows_pin_and_takedowns(two, command):
    """The first line names both."""
    command("pin", "--why", "lists of 3 look wrong")
    command("takedown", "a", "c", "--why", "rights")
    first, _, newest, *_ = ran(command("ls")).splitlines()
    assert first == "pinned to generation 2: lists of 3 look wrong; takedowns in force: 2"
    assert newest.startswith("*P  2 ")


def test_ls_as_json(two, command):
    """The columns of the table, and sizes in bytes."""
    found = json.loads(ran(command("ls", "--json")))
    assert (found["current"], found["pin"], found["takedowns"]) == (2, None, 0)
    newest = found["snapshots"][0]
    assert (newest["generation"], newest["current"], newest["n_users"]) == (2, True, 2)
    assert newest["gate"] == "passed"
    assert newest["n_bytes"] > 0


def test_ls_names_a_manifest_with_wrong_types(two, command):
    """The line names it, and the other lines are there."""
    path = snapshot_folder(two, 1) / "MANIFEST.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"counts": []}))
    listed = ran(command("ls"))
    assert "1  damaged: " in listed
    assert "MANIFEST.json: counts: [] is not a valid value" in listed
    assert "error" in json.loads(ran(command("ls", "--json")))["snapshots"][1]


def test_ls_without_a_current_generation_is_1(two, command):
    """The snapshots exist, but the pointer is missing."""
    (two / "CURRENT").unlink()
    done = command("ls")
    assert len(ran(done, 1).splitlines()) == 4
    assert "python -m store doctor" in done.stderr


def test_ls_of_a_hundred_generations_reads_manifests_alone(two, capsys):
    """The data files are directories: reading one would be an error in its line."""
    source = snapshot_folder(two, 2)
    about = json.loads((source / "MANIFEST.json").read_text())
    for generation in range(3, 101):
        folder = snapshot_folder(two, generation)
        folder.mkdir()
        (folder / "MANIFEST.json").write_text(json.dumps(about | {"generation": generation}))
        (folder / "recs.mdb").mkdir()
    assert main(["--store", str(two), "ls"]) == 0
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 102
    assert "damaged" not in output


# get, rollback and verify as JSON


def test_get_as_json(two, command):
    """One entry for each user; null without a list."""
    assert json.loads(ran(command("get", "ann", "eve", "--json"), 1)) == [
        {"user_id": "ann", "items": ["b", "c"]},
        {"user_id": "eve", "items": None},
    ]


def test_rollback_as_json(two, command):
    """The generation that is current now."""
    assert json.loads(ran(command("rollback", "--why", "x", "--json"))) == {"generation": 1}


def test_verify_of_all_generations(two, command):
    """One line for each, also after a damaged one."""
    (snapshot_folder(two, 1) / "items.ann").write_bytes(b"x")
    first, second = ran(command("verify", "--all"), 1).splitlines()
    assert first.startswith("generation 1: ")
    assert "items.ann: 1 bytes" in first
    assert second == "generation 2: ok; 2 lists checked"


def test_verify_as_json(two, command):
    """An empty list without problems."""
    assert json.loads(ran(command("verify", "--all", "--json"))) == [
        {"generation": 1, "n_lists": 2, "problems": []},
        {"generation": 2, "n_lists": 2, "problems": []},
    ]


def test_verify_of_all_in_an_empty_store_is_1(command):
    """An empty store is not a sound one."""
    assert "nothing has been published yet" in refused(command("verify", "--all"))


# pin and unpin


def test_pin_of_the_current_generation(two, command):
    """The pin has the reason."""
    assert ran(command("pin", "--why", "wait")) == "generation 2 is current and pinned\n"
    assert pinned(two) == (2, "wait")


def test_pin_of_a_given_generation(two, command):
    """It becomes current."""
    done = command("pin", "--generation", "1", "--why", "wait", "--json")
    assert json.loads(ran(done)) == {"generation": 1}
    assert current(two) == 1


def test_unpin_publishes_the_newest(two, command):
    """The pin is removed."""
    pin(two, "wait", to=1)
    assert ran(command("unpin", "--why", "fine")) == "generation 2 is current\n"
    assert pinned(two) is None


def test_unpin_as_json(two, command):
    """The generation that is current now."""
    pin(two, "wait", to=1)
    assert json.loads(ran(command("unpin", "--why", "fine", "--json"))) == {"generation": 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pin", "--generation", "9"], "no such snapshot"),
        (["unpin"], "is not pinned"),
        (["rollback", "--generation", "9"], "no such snapshot"),
    ],
)
def test_a_refused_flip_is_1(two, command, arguments, message):
    """One line, and the store is unchanged."""
    before = files_of(two)
    assert message in refused(command(*arguments, "--why", "x"))
    assert files_of(two) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["pin", "--why", "x"],
        ["unpin", "--why", "x"],
        ["prune"],
        ["takedown", "a", "--why", "x"],
        ["takedown", "--list"],
        ["restore", "a", "--why", "x"],
    ],
)
def test_a_mistyped_store_is_1_and_is_not_created(command, store, arguments):
    """One line; the path still does not exist."""
    refused(command(*arguments))
    assert not store.exists()


# prune


def test_prune_keeps_the_given_number(two, command):
    """It prints the removed generations."""
    assert ran(command("prune", "--keep", "1")) == "removed: 1\n"
    assert generations(two) == [2]


def test_prune_keeps_the_number_of_the_configuration(two, command):
    """Without --keep; --json lists the removed."""
    done = command("prune", "--json", environ={"MARQUEE_STORE_KEEP": "1"})
    assert json.loads(ran(done)) == {"removed": [1]}
    assert ran(command("prune")) == "removed: nothing\n"


def test_prune_keeps_recent_snapshots(two, command):
    """--keep-days protects snapshots that --keep would remove."""
    assert ran(command("prune", "--keep", "1", "--keep-days", "100000")) == "removed: nothing\n"


@pytest.mark.parametrize(
    "option", ["--keep=0", "--keep=x", "--keep-days=-1", "--keep-days=nan", "--keep-days=inf"]
)
def test_prune_of_a_wrong_number_is_2(two, command, option):
    """It removes nothing."""
    ran(command("prune", option), 2)
    assert generations(two) == [1, 2]


# takedown and restore


def test_takedown_takes_items_down(two, command):
    """Both items with the reason, in the file and in the journal."""
    assert ran(command("takedown", "a", "b", "--why", "rights ended")) == (
        "takedowns in force: 2\n"
    )
    assert {name: entry.why for name, entry in takedowns(two).items()} == {
        "a": "rights ended",
        "b": "rights ended",
    }
    assert journal(two)[-1].what == "takedown"


def test_takedown_of_an_unknown_item_is_done_with_a_warning(two, command):
    """It may be in the next snapshot."""
    done = command("takedown", "a", "zzz", "--why", "rights")
    ran(done)
    assert done.stderr == "store: zzz is taken down, but is not in any snapshot\n"
    assert takedowns(two).keys() == {"a", "zzz"}


def test_takedown_beside_a_truncated_snapshot(two, command):
    """The damaged one is not opened; the item is taken down."""
    os.truncate(snapshot_folder(two, 2) / "recs.mdb", 4096)
    ran(command("takedown", "a", "--why", "rights"))
    assert takedowns(two).keys() == {"a"}


def test_takedown_list(two, command):
    """A table, and a JSON array."""
    command("takedown", "a", "--why", "rights ended")
    head, line = ran(command("takedown", "--list")).splitlines()
    assert head.split() == ["item", "since", "why"]
    assert line.startswith("a ")
    assert line.endswith("rights ended")
    (entry,) = json.loads(ran(command("takedown", "--list", "--json")))
    assert (entry["item_id"], entry["why"]) == ("a", "rights ended")


def test_an_empty_takedown_list(two, command):
    """The heading alone, and an empty array."""
    assert ran(command("takedown", "--list")).splitlines() == ["item  since  why"]
    assert json.loads(ran(command("takedown", "--list", "--json"))) == []


def test_takedown_of_an_invalid_item_id_is_1(two, command):
    """No item is taken down."""
    assert "is not a valid item id" in refused(command("takedown", "a", "a,b", "--why", "x"))
    assert takedowns(two) == {}


@pytest.mark.parametrize(
    "arguments", [[], ["a"], ["--why", "x"], ["a", "--list"], ["--list", "--why", "x"]]
)
def test_takedown_without_items_or_reason_is_2(two, command, arguments):
    """Either both, or --list."""
    ran(command("takedown", *arguments), 2)
    assert takedowns(two) == {}


def test_restore_undoes_a_takedown(two, command):
    """The other takedowns stay in force."""
    command("takedown", "a", "b", "--why", "rights")
    assert ran(command("restore", "a", "--why", "back")) == "takedowns in force: 1\n"
    assert takedowns(two).keys() == {"b"}


def test_restore_as_json(two, command):
    """The takedowns that stay in force."""
    command("takedown", "a", "--why", "rights")
    assert json.loads(ran(command("restore", "a", "--why", "back", "--json"))) == []


def test_restore_of_an_item_that_is_not_taken_down_is_1(two, command):
    """The message names `takedown --list`."""
    line = refused(command("restore", "a", "--why", "x"))
    assert "takedown --list" in line


def test_rollback_of_a_pinned_store_is_1(two, command):
    """The message names `unpin`."""
    make_snapshot(two, {"ann": ["a"]}, ["a"])
    command("pin", "--why", "wait")
    assert "unpin" in refused(command("rollback", "--why", "x"))
