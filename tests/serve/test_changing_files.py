"""What changes in place is read in a child process first: damage ends that, and no worker."""

import faulthandler
import os
import random
import signal
from pathlib import Path

import pytest

from serve.scoreboard import Scoreboard
from serve.supervisor.changing_files import (
    FRESH_LISTS,
    RECENT_VIEWS,
    ChangingFile,
    ChangingFileWatcher,
)
from store.errors import CorruptRecentError
from store.fresh import FreshList, FreshWriter, fresh_file
from store.recent import RecentWriter, check_recent, recent_file
from tests.store.adversarial import n_rounds

PAGE_BYTES = 4096
MANY = [(f"user{n:04d}", f"film{k:02d}") for n in range(300) for k in range(8)]
SEED = 5


@pytest.fixture
def recent(store):
    """The file of a store with views of 300 users."""
    store.mkdir()
    with RecentWriter(store) as writer:
        writer.add(MANY)
    return recent_file(store)


@pytest.fixture(autouse=True)
def quiet():
    """Print no stack for a child that crashes, which is expected here."""
    was_enabled = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    if was_enabled:
        faulthandler.enable()


class Watched:
    """A watcher, its scoreboard, and the crashes that it passes on."""

    def __init__(self, store: Path, file: ChangingFile = RECENT_VIEWS):
        self.scoreboard = Scoreboard(1)
        self.n_passed_on = 0
        self.watcher = ChangingFileWatcher(file, store, self.scoreboard, self._pass_on)
        self.settle()

    def _pass_on(self):
        self.n_passed_on += 1

    def settle(self):
        """Look, and wait for the check if one has started."""
        self.watcher.look()
        if self.watcher._checking:
            pid, status = os.wait()
            assert self.watcher.ended(pid, os.waitstatus_to_exitcode(status))


def damage_pages(path, rng):
    """Overwrite some bytes behind the header, or some of its numbers."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 20)):
        at = rng.randrange(len(content)) if rng.random() < 0.7 else rng.randrange(2 * PAGE_BYTES)
        content[at] = rng.randrange(256)
    if rng.random() < 0.2:
        del content[rng.randrange(len(content)) :]
    path.write_bytes(content)


def test_a_sound_file_is_used(store, recent):
    """Its inode stands on the scoreboard, for every worker."""
    watched = Watched(store)
    assert watched.scoreboard.recent_inode == recent.stat().st_ino


def test_random_bytes_in_the_file_end_a_child_at_most(store, recent):
    """This process stands for the supervisor: each version is checked, none is fatal."""
    sound, rng = recent.read_bytes(), random.Random(SEED)
    n_refused = 0
    for _ in range(n_rounds(200)):
        recent.write_bytes(sound)
        damage_pages(recent, rng)
        n_refused += not Watched(store).scoreboard.recent_inode
    assert n_refused > 0


def test_a_damaged_file_is_refused_until_it_changes(store, recent):
    """Then it is checked once more."""
    sound = recent.read_bytes()
    recent.write_bytes(sound[: 3 * PAGE_BYTES])
    watched = Watched(store)
    assert watched.scoreboard.recent_inode == 0
    watched.settle()
    assert watched.scoreboard.recent_inode == 0

    recent.write_bytes(sound)
    watched.watcher._refused_at -= 2  # as long as the pause after a refusal
    watched.settle()
    assert watched.scoreboard.recent_inode == recent.stat().st_ino


def test_a_crash_is_passed_on_when_the_file_is_sound(store, recent):
    """The snapshot is suspected then, not before."""
    watched = Watched(store)
    watched.watcher.worker_crashed()
    assert (watched.scoreboard.recent_inode, watched.n_passed_on) == (0, 0)
    watched.settle()
    assert (watched.scoreboard.recent_inode, watched.n_passed_on) == (recent.stat().st_ino, 1)


def test_a_crash_by_the_file_is_not_passed_on(store, recent):
    """The snapshot is not blamed for it."""
    watched = Watched(store)
    with recent.open("r+b") as file:
        file.seek(2 * PAGE_BYTES)
        file.write(bytes(recent.stat().st_size - 2 * PAGE_BYTES))
    watched.watcher.worker_crashed()
    watched.settle()
    assert (watched.scoreboard.recent_inode, watched.n_passed_on) == (0, 0)
    watched.watcher.worker_crashed()  # it is not in use any more: this one has another cause
    assert watched.n_passed_on == 1


def test_without_a_file_a_crash_is_passed_on_at_once(store):
    """As before there was one."""
    store.mkdir()
    watched = Watched(store)
    watched.watcher.worker_crashed()
    assert watched.n_passed_on == 1


def test_a_check_that_hangs_ends_by_itself(store, recent, monkeypatch):
    """By the kernel's alarm, which no loop in LMDB delays."""
    monkeypatch.setattr("serve.supervisor.changing_files._MAX_CHECK_SECONDS", 1)
    hanging = RECENT_VIEWS._replace(check=lambda _: signal.pause())
    assert Watched(store, hanging).scoreboard.recent_inode == 0


def test_fresh_lists_are_checked_as_well(store):
    """A damaged list is left out; records out of order disable the file, and nothing else."""
    store.mkdir()
    with FreshWriter(store) as writer:
        made = FreshList(1, 1.0, b"heat,alien")
        writer.put([(user, made, b"") for user in (b"ann", b"bob", b"cat")])
    sound, path = fresh_file(store).read_bytes(), fresh_file(store)
    assert Watched(store, FRESH_LISTS).scoreboard.fresh_inode == path.stat().st_ino
    path.write_bytes(sound.replace(b"heat,alien", b"heat,aliem"))
    assert Watched(store, FRESH_LISTS).scoreboard.fresh_inode == path.stat().st_ino
    path.write_bytes(sound.replace(b"bob", b"zob"))
    watched = Watched(store, FRESH_LISTS)
    assert (watched.scoreboard.fresh_inode, watched.scoreboard.recent_inode) == (0, 0)


def test_a_pipe_in_place_of_the_file_is_refused(store):
    """Opening it would wait for ever."""
    store.mkdir()
    os.mkfifo(recent_file(store))
    with pytest.raises(CorruptRecentError, match="regular"):
        check_recent(store)
