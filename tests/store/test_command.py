import json
import os
import re

import pytest

from store.__main__ import main
from store.commands.show import readable
from store.journal import journal
from store.layout import snapshot_folder
from store.pointer import current
from tests.snapshots import files_of, make_snapshot


def outcome(done):
    """Return status and output of a command that must not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


# ls


def test_ls_lists_the_snapshots_newest_first_and_marks_the_current(two, command):
    """One line a generation, an asterisk at the one served."""
    status, output = outcome(command("ls"))
    assert status == 0
    lines = [line.split() for line in output.splitlines()[2:]]
    assert [line[:2] for line in lines] == [["*", "2"], ["1", "2026-03-01T02:30:00+00:00"]]


def test_ls_of_an_empty_store_is_1(command, store):
    """Nothing is served; the store is not created."""
    assert outcome(command("ls"))[0] == 1
    assert not store.exists()


def test_ls_shows_the_others_beside_a_corrupt_snapshot(two, command):
    """A damaged manifest is named in its line."""
    (snapshot_folder(two, 1) / "MANIFEST.json").write_text("{")
    status, output = outcome(command("ls"))
    assert status == 0
    assert "MANIFEST.json: cannot be read" in output
    assert "*   2  " in output


# show


def test_show_prints_one_line_for_each_field(two, command):
    """Names on the left, values beside them."""
    status, output = outcome(command("show"))
    assert status == 0
    assert re.search(r"^generation +2$", output, re.MULTILINE)
    assert re.search(r"^  recs.mdb/users +2$", output, re.MULTILINE)


def test_show_gives_each_row_of_a_table_its_own_line():
    """The checks of a gate are readable without JSON."""
    checks = [{"rule": "users", "is_ok": True, "figure": 0.5}, {"rule": "items", "is_ok": False}]
    assert [*readable({"gate": {"checks": checks, "result": "refused"}})] == [
        "gate",
        "  checks",
        "    rule users, is_ok true, figure 0.5",
        "    rule items, is_ok false",
        "  result                  refused",
    ]


def test_show_prints_the_manifest_of_the_current(two, command):
    """One JSON object."""
    status, output = outcome(command("show", "--json"))
    assert (status, json.loads(output)["generation"]) == (0, 2)


def test_show_prints_the_manifest_of_a_given_generation(two, command):
    """`--generation` names an older one."""
    status, output = outcome(command("show", "--json", "--generation", "1"))
    assert (status, json.loads(output)["parent"]) == (0, None)


@pytest.mark.parametrize("verb", [["show"], ["verify"], ["get", "ann"]])
@pytest.mark.parametrize("generation", ["7", "0", "-1"])
def test_a_generation_that_does_not_exist_is_1(two, command, verb, generation):
    """0 is not a synonym of the current one."""
    done = command(*verb, f"--generation={generation}")
    assert outcome(done) == (1, "")
    assert "no such snapshot" in done.stderr


@pytest.mark.parametrize("verb", [["show"], ["verify"], ["get", "ann"], ["rollback", "--why=x"]])
def test_a_store_with_nothing_in_it_is_1(command, verb):
    """The message says what to do."""
    done = command(*verb)
    assert outcome(done) == (1, "")
    assert "nothing has been published yet; build one with" in done.stderr


# get


def test_get_prints_the_list_of_each_user(two, command):
    """User and list, separated by a tab, in the order of the arguments."""
    assert outcome(command("get", "bob", "ann")) == (0, "bob\td\nann\tb,c\n")


def test_get_of_an_older_generation(two, command):
    """`--generation` names an older one."""
    assert outcome(command("get", "ann", "--generation", "1")) == (0, "ann\ta,b\n")


@pytest.mark.parametrize(
    "user",
    ["nobody", "", "an n", "é", "x" * 65, "x" * 600, os.fsdecode(b"\xff")],
    ids=["unknown", "empty", "blank", "accent", "65", "600", "bytes"],
)
def test_get_of_a_user_without_a_list_is_1(two, command, user):
    """The lists of other users are printed all the same."""
    status, output = outcome(command("get", "ann", user))
    assert status == 1
    assert output.startswith("ann\tb,c\n")
    assert output.endswith("\tno list\n")


# verify


def test_verify_of_a_sound_snapshot_is_0(two, command):
    """It prints the number of lists."""
    assert outcome(command("verify")) == (0, "generation 2: ok; 2 lists checked\n")


def test_verify_of_a_corrupt_snapshot_is_1(two, command):
    """The message names the file and the remedy."""
    (snapshot_folder(two, 2) / "items.ann").write_bytes(b"x")
    done = command("verify")
    status, output = outcome(done)
    assert status == 1
    assert "items.ann" in output
    assert "python -m store rollback" in output


def test_verify_of_a_broken_list_is_1(two, command):
    """The checksums match, but a list is broken."""
    make_snapshot(two, {"ann": ["a", "a"]}, ["a"])
    assert outcome(command("verify")) == (1, "generation 3: users: ann: contains an item twice\n")


def test_verify_shows_the_first_problems_of_many(two, command):
    """At most 20."""
    make_snapshot(two, {f"user{n}": ["a", "a"] for n in range(100)}, ["a"])
    status, output = outcome(command("verify"))
    assert (status, len(output.splitlines())) == (1, 20)


# rollback


def test_rollback_makes_the_parent_current(two, command):
    """The journal has the reason."""
    done = command("rollback", "--why", "lists of 2 look wrong")
    assert outcome(done) == (0, "generation 1 is current\n")
    assert current(two) == 1
    assert journal(two)[-1].why == "lists of 2 look wrong"


def test_rollback_to_a_given_generation(two, command):
    """`--generation` names it."""
    make_snapshot(two, {"ann": ["a"]}, ["a"])
    assert outcome(command("rollback", "--generation", "1", "--why", "x"))[0] == 0
    assert current(two) == 1


def test_rollback_without_a_parent_is_1(store, command):
    """The message names the cause."""
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    done = command("rollback", "--why", "x")
    assert outcome(done) == (1, "")
    assert "it has no parent" in done.stderr


def test_rollback_with_a_reason_that_is_not_utf_8_is_done(two, command):
    """The command line may have another encoding."""
    done = command("rollback", "--why", os.fsdecode("zurück".encode("latin-1")))
    assert outcome(done)[0] == 0
    assert current(two) == 1


# Usage, and the path of the store


@pytest.mark.parametrize(
    "arguments",
    [[], ["list"], ["get"], ["rollback"], ["rollback", "--why"], ["ls", "--generation", "1"]],
)
def test_wrong_usage_is_2_and_changes_nothing(two, command, arguments):
    """Also a rollback without a reason."""
    before = files_of(two)
    done = command(*arguments)
    assert outcome(done) == (2, "")
    assert "usage: python -m store" in done.stderr
    assert files_of(two) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rollback", "--to", "1", "--why", "x"], "--to: renamed; use --generation"),
        (["rollback", "--to=1", "--why", "x"], "--to: renamed; use --generation"),
        (["takedown", "a", "--reason", "x"], "--reason: renamed; use --why"),
    ],
)
def test_a_renamed_option_is_2_and_names_the_new_one(two, command, arguments, message):
    """The store is unchanged."""
    before = files_of(two)
    done = command(*arguments)
    assert outcome(done) == (2, "")
    assert message in done.stderr
    assert files_of(two) == before


def test_help_shows_an_example(command):
    """Status 0, on standard output."""
    status, output = outcome(command("--help"))
    assert status == 0
    assert "python -m store get 12345" in output


VERBS = ["ls", "show", "get", "rollback", "pin", "unpin", "prune", "takedown", "restore", "verify"]
VERBS += ["dump", "load", "diff", "explain", "doctor", "push", "pull"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys, verb):
    """It lists the option --json."""
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_the_store_is_found_by_the_configuration(two, python, tmp_path):
    """Without --store: the file of --config, overridden by the environment."""
    make_snapshot(tmp_path / "other", {"ann": ["z"]}, ["z"])
    (tmp_path / "given.toml").write_text(f'[store]\npath = "{two}"\n')
    get = ["-m", "store", "--config", "given.toml", "get", "ann"]
    assert outcome(python(*get)) == (0, "ann\tb,c\n")
    environ = {"MARQUEE_STORE_PATH": str(tmp_path / "other")}
    assert outcome(python(*get, environ=environ)) == (0, "ann\tz\n")


def test_a_bad_configuration_is_1(python):
    """The message names the file and the remedy."""
    done = python("-m", "store", "--config", "missing.toml", "ls")
    assert outcome(done) == (1, "")
    assert "missing.toml: no such file; name one that exists with --config" in done.stderr


def test_a_closed_pipe_is_not_an_error(two, command):
    """`| head`: status 0, nothing on standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    done = command("show", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("unprivileged")
@pytest.mark.parametrize("verb", [["ls"], ["show"], ["get", "ann"], ["rollback", "--why", "x"]])
def test_a_store_that_may_not_be_read_is_1(locked_folder, capsys, verb):
    """Permission denied is a message, not a traceback."""
    assert main(["--store", str(locked_folder / "store"), *verb]) == 1
    assert capsys.readouterr().err.startswith("store: ")
