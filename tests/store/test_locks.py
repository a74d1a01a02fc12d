"""Locks and rights of a store: other users of the machine cannot hold it up."""

import contextlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from store.errors import StoreBusyError, WriteError
from store.journal import journal
from store.locks import locked
from store.pointer import current, pinned
from store.publish import pin, writing
from store.refresh_request import request_refresh, take_refresh_request
from store.takedown import take_down, takedowns

HOSTILE = "bad\x1b[2Jlist\u202egnp.\u2066 of\x00 \u200bMay\u2028\u009b!"
VISIBLE = "bad[2Jlistgnp. of May !"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_store_is_closed_to_other_users(tmp_path):
    """0750, and 0600 for the locks."""
    store = tmp_path / "var" / "store"
    with writing(store):
        take_down(store, ["a"], "why")

    assert mode(store) == 0o750
    assert {mode(store / name) for name in ("LOCK", "TAKEDOWN.LOCK")} == {0o600}


def test_an_existing_store_and_its_locks_are_closed(tmp_path):
    """The group's rights stay, for a group may share the work."""
    tmp_path.chmod(0o2775)
    (tmp_path / "LOCK").touch(0o666)
    with writing(tmp_path):
        assert mode(tmp_path) == 0o2770
        assert mode(tmp_path / "LOCK") == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_a_store_of_another_user_is_named_in_a_warning(tmp_path, caplog):
    """Its rights are that user's to change; root's locks belong to that user too."""
    store = tmp_path / "store"
    store.mkdir()
    store.chmod(0o755)
    os.chown(store, 65534, 65534)
    with writing(store):
        assert "open to every user" in caplog.text

    assert mode(store) == 0o755
    assert (store / "LOCK").stat().st_uid == 65534


STRANGER = """
import fcntl, os, sys
def refused(path):
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError:
        return True
print([refused(path) for path in sys.argv[1:]], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def stranger():
    """Start another user's process, which locks paths while the `with` lasts."""

    @contextlib.contextmanager
    def locking(*paths):
        with subprocess.Popen(
            ["/usr/bin/env", "python3", "-c", STRANGER, *paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd="/", user=65534, group=65534, extra_groups=[],
        ) as process:  # fmt: skip
            assert process.stdout is not None
            yield process.stdout.readline().strip()

    return locking


@pytest.fixture
def open_folder():
    """A folder that every user may enter, as those above a real store."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_hold_up_a_takedown(open_folder, stranger):
    """Neither by the directory, while it is open to all, nor by a lock."""
    store = open_folder / "store"
    with writing(store):
        take_down(store, ["a"], "why")
    store.chmod(0o755)  # worse than it is made
    with stranger(store, store / "LOCK", store / "TAKEDOWN.LOCK") as refused:
        assert refused == "[None, True, True]"
        take_down(store, ["b"], "why")  # which closes the directory
        with writing(store):
            pass

    assert set(takedowns(store)) == {"a", "b"}
    with stranger(store) as refused:
        assert refused == "[True]"


def test_a_held_lock_is_waited_for_and_then_named(tmp_path):
    """The message says how to find its holder; nothing changes."""
    take_down(tmp_path, ["a"], "why")
    with (
        locked(tmp_path / "TAKEDOWN.LOCK"),
        pytest.raises(StoreBusyError, match=r"fuser -v .*TAKEDOWN\.LOCK"),
    ):
        take_down(tmp_path, ["b"], "why")
    take_down(tmp_path, ["c"], "why")

    assert set(takedowns(tmp_path)) == {"a", "c"}


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    """Its target is neither made nor changed."""
    (tmp_path / "LOCK").symlink_to(tmp_path / "target")
    with pytest.raises(WriteError, match="LOCK"), writing(tmp_path):
        pass

    assert not (tmp_path / "target").exists()


def test_reasons_hold_only_visible_characters(two):
    """In JOURNAL, TAKEDOWN, PIN and TRAIN: no control, bidirectional or line character."""
    take_down(two, ["a"], HOSTILE)
    pin(two, HOSTILE)
    request_refresh(two, HOSTILE)

    assert takedowns(two)["a"].why == VISIBLE
    held = pinned(two)
    assert held is not None
    assert held.why == VISIBLE
    assert take_refresh_request(two) == VISIBLE
    assert [line.why for line in journal(two)][-2:] == [f"a: {VISIBLE}", VISIBLE]


def test_visible_reasons_stay_as_they_are(two):
    """Letters of every script, accents and symbols."""
    take_down(two, ["a"], "Rechte: gelöscht – 権利 ✓")

    assert takedowns(two)["a"].why == "Rechte: gelöscht – 権利 ✓"


def test_a_command_that_finds_the_store_locked_ends_with_1(two, command):
    """One line, with the command that names the holder; nothing changes."""
    for name, arguments in (
        ("TAKEDOWN.LOCK", ["takedown", "a", "--why", "x"]),
        ("LOCK", ["rollback", "--why", "x"]),
    ):
        with locked(two / name):
            ended = command(*arguments)

        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1
        assert f"fuser -v {two / name}" in ended.stderr
    assert takedowns(two) == {}
    assert current(two) == 2
