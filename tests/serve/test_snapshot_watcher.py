"""The snapshot watcher, without workers: verifications, crashes and blocked generations."""

import os
import signal

import pytest

from serve.scoreboard import Scoreboard
from serve.supervisor.snapshot_watcher import SnapshotWatcher
from store.layout import RECS, snapshot_folder
from tests.serve.crashing_snapshots import PAGE_BYTES, sound_snapshot

AT_ONCE_SECONDS = -1.0
NEVER_SECONDS = 3600.0


class Watched:
    """A watcher of a store; every crash is a reason to verify at once."""

    def __init__(self, store):
        self.scoreboard = Scoreboard(2)
        self.watcher = SnapshotWatcher(store, self.scoreboard, verify_again_seconds=AT_ONCE_SECONDS)
        self.settle()

    def settle(self):
        """Look and wait for verifications until none is left to start."""
        self.watcher.look()
        while self.watcher.is_verifying:
            self.reap()
            self.watcher.look()

    def reap(self):
        pid, status = os.wait()
        assert self.watcher.ended(pid, os.waitstatus_to_exitcode(status))

    def crash(self, n_times=1):
        for _ in range(n_times):
            self.watcher.worker_crashed()


@pytest.fixture
def published(store):
    """A store whose generation 1 is sound and current."""
    sound_snapshot(store, "alien")
    return store


@pytest.fixture
def watched(published):
    """Generation 2 is served, 1 was served before."""
    watched = Watched(published)
    sound_snapshot(published, "brazil")
    watched.settle()
    assert watched.scoreboard.generation == 2
    return watched


def test_one_crash_causes_a_verification_and_no_fallback(watched):
    """The snapshot is verified again, is sound, and stays."""
    watched.crash()
    watched.watcher.look()
    assert watched.watcher.is_verifying
    watched.settle()

    assert watched.scoreboard.generation == 2
    assert watched.scoreboard.supervisor_counts()["retreats"] == 0


def test_one_crash_of_a_truncated_snapshot_causes_a_fallback(watched, published):
    """The verification after the first crash detects the damage."""
    os.truncate(snapshot_folder(published, 2) / RECS, PAGE_BYTES)
    watched.crash()
    watched.settle()

    assert watched.scoreboard.generation == 1
    assert watched.scoreboard.supervisor_counts()["retreats"] == 1


def test_a_crash_soon_after_a_verification_is_verified_later(watched, published):
    """Verifications keep a distance in time, but none is dropped."""
    os.truncate(snapshot_folder(published, 2) / RECS, PAGE_BYTES)
    watched.watcher.verify_again_seconds = NEVER_SECONDS
    watched.crash()
    watched.settle()
    assert watched.scoreboard.generation == 2

    watched.watcher.verify_again_seconds = AT_ONCE_SECONDS
    watched.settle()
    assert watched.scoreboard.generation == 1


def test_a_verification_that_ends_after_the_block_changes_nothing(watched):
    """The generation has crashed workers meanwhile; valid checksums no longer matter."""
    watched.crash()
    watched.watcher.look()
    assert watched.watcher.is_verifying
    watched.crash(2)
    assert watched.scoreboard.generation == 1
    seen = set()
    while watched.watcher.is_verifying:
        watched.reap()
        seen.add(watched.scoreboard.generation)
        watched.watcher.look()

    assert seen == {1}


def test_a_pruned_predecessor_is_replaced_by_an_older_generation(watched, published):
    """The latest one that has been current and still exists is verified and served."""
    sound_snapshot(published, "casablanca")
    watched.settle()
    snapshot_folder(published, 2).rename(published / "gone")
    watched.crash(3)
    watched.settle()

    assert watched.scoreboard.generation == 1


def test_a_fallback_holds_until_a_newer_snapshot_is_published(watched, published):
    """While `CURRENT` names the blocked generation, nothing changes."""
    watched.crash(3)
    for _ in range(5):
        watched.settle()
        watched.crash(3)
    assert watched.scoreboard.generation == 1
    assert watched.scoreboard.supervisor_counts()["retreats"] == 1

    sound_snapshot(published, "casablanca")
    watched.settle()
    assert watched.scoreboard.generation == 3
    assert watched.scoreboard.problem == ""


def test_the_problem_names_the_generation_and_the_consequence(watched):
    """`/healthz` and the log show this text."""
    watched.crash(3)

    assert watched.scoreboard.problem == (
        "generation 2: crashes workers; falling back to the previously served generation"
    )


def hang(_):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(1)
    signal.pause()


@pytest.mark.parametrize("check", [lambda _: os.abort(), hang], ids=["crash", "hang"])
def test_a_check_of_the_index_that_ends_its_process_costs_only_the_index(
    published, monkeypatch, check
):
    """The snapshot is verified once more without it, and served."""
    monkeypatch.setattr("serve.supervisor.verification.verify_index", check)
    watched = Watched(published)
    assert (watched.scoreboard.generation, watched.scoreboard.indexed_generation) == (1, 0)


def test_a_sound_index_is_used(published):
    """The twin; also after a fallback and after another verification."""
    watched = Watched(published)
    assert (watched.scoreboard.generation, watched.scoreboard.indexed_generation) == (1, 1)
    sound_snapshot(published, "brazil")
    watched.settle()
    watched.watcher.verify_again()
    watched.settle()
    assert watched.scoreboard.indexed_generation == 2
    watched.crash(3)
    assert (watched.scoreboard.generation, watched.scoreboard.indexed_generation) == (1, 1)
