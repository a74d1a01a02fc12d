import itertools
import os
import shutil

import pytest

from store.check import broken_records
from store.errors import WriteError
from store.journal import journal
from store.layout import unfinished
from store.pointer import current
from store.publish import publish, writing
from store.snapshot import open_snapshot
from tests.snapshots import files_of, make_snapshot

MAKE_ANOTHER = """
import sys
from pathlib import Path
from store.errors import WriteError
from tests.snapshots import make_snapshot
try:
    make_snapshot(Path(sys.argv[1]), {"ann": ["b", "a"]}, ["b"])
except WriteError as error:
    print(error)
    sys.exit(3)
"""


class PowerCut(BaseException):
    """The machine stops here; no code catches this."""


@pytest.fixture
def fail_at(monkeypatch):
    """Make call number `nth` of a function of `os` raise."""

    def arrange(step, nth, error):
        real, calls = getattr(os, step), itertools.count(1)

        def call(*arguments, **options):
            if next(calls) == nth:
                raise error
            return real(*arguments, **options)

        monkeypatch.setattr(os, step, call)

    return arrange


@pytest.fixture
def unpublished(store):
    """A store that serves generation 1 and holds a complete 2 as well."""
    make_snapshot(store, {"ann": ["a", "b"]}, ["a"])
    make_snapshot(store, {"ann": ["b", "a"]}, ["b"], flip=False)
    return store


# the journal's bytes, CURRENT's bytes, its name
STEPS_BEFORE_THE_FLIP = pytest.mark.parametrize(
    ("step", "nth"), [("fsync", 1), ("fsync", 2), ("replace", 1)]
)


@STEPS_BEFORE_THE_FLIP
def test_power_cut_before_the_flip_keeps_the_old_generation(unpublished, fail_at, step, nth):
    """At each step readers still find generation 1, intact."""
    fail_at(step, nth, PowerCut())
    with writing(unpublished), pytest.raises(PowerCut):
        publish(unpublished, 2, "cut")
    assert current(unpublished) == 1
    open_snapshot(unpublished, 1).close()


def test_power_cut_after_the_flip_leaves_the_new_generation_intact(unpublished, fail_at):
    """After the rename readers find generation 2, and it is complete."""
    fail_at("fsync", 3, PowerCut())
    with writing(unpublished), pytest.raises(PowerCut):
        publish(unpublished, 2, "cut")
    assert current(unpublished) == 2
    open_snapshot(unpublished, 2).close()


@STEPS_BEFORE_THE_FLIP
def test_the_next_writer_voids_a_journal_line_without_its_flip(
    unpublished, fail_at, monkeypatch, step, nth
):
    """The journal ends with a void line."""
    fail_at(step, nth, PowerCut())
    with writing(unpublished), pytest.raises(PowerCut):
        publish(unpublished, 2, "cut")
    monkeypatch.undo()
    with writing(unpublished):
        assert [(line.generation, line.what) for line in journal(unpublished)] == [
            (1, "publish"),
            (2, "publish"),
            (2, "void"),
        ]


def test_a_publish_can_be_repeated_after_a_power_cut(unpublished, fail_at, monkeypatch):
    """The next writer publishes the same generation."""
    fail_at("replace", 1, PowerCut())
    with writing(unpublished), pytest.raises(PowerCut):
        publish(unpublished, 2, "cut")
    monkeypatch.undo()
    with writing(unpublished):
        publish(unpublished, 2, "again")
    assert current(unpublished) == 2


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "mkdir"])
def test_a_publish_killed_at_any_system_call_leaves_a_sound_store(store, strace, call):
    """A build and its publish are killed at each such call in turn; the next writer works."""
    make_snapshot(store, {"ann": ["a", "b"]}, ["a"])
    n_kills = 0
    for nth in itertools.count(1):
        killed = store.with_name(f"killed-{nth}")
        shutil.copytree(store, killed)
        done = strace(call, f"signal=SIGKILL:when={nth}", "-c", MAKE_ANOTHER, killed)
        if done.returncode == 0:
            break
        n_kills += 1
        served = current(killed)
        with open_snapshot(killed, served) as snapshot:
            assert list(broken_records(snapshot)) == [], nth
        with writing(killed):
            assert unfinished(killed) == []
            assert journal(killed)[-1].what == "void" or journal(killed)[-1].generation == served
        assert make_snapshot(killed, {"ann": ["b"]}, ["b"]) == current(killed) > served
    assert n_kills >= 2


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_disk_error_while_building_leaves_nothing(two, fail_at, nth):
    """Each fsync of the writer in turn: a WriteError, and the store is unchanged."""
    before = files_of(two)
    fail_at("fsync", nth, OSError(5, "Input/output error"))
    with pytest.raises(WriteError, match="Input/output error"):
        make_snapshot(two, {"ann": ["a"]}, ["a"], flip=False)
    assert files_of(two) == before


@pytest.mark.parametrize("nth", [1, 2])
def test_a_disk_error_in_lmdb_s_own_sync_leaves_nothing(two, strace, nth):
    """The tables' fdatasync fails: a WriteError, and the store is unchanged."""
    before = files_of(two)
    done = strace("fdatasync", f"error=EIO:when={nth}", "-c", MAKE_ANOTHER, two)
    assert done.returncode == 3, done.stderr
    assert files_of(two) == before


@pytest.mark.parametrize("nth", [1, 2])
def test_a_disk_error_while_publishing_is_a_write_error(unpublished, fail_at, nth):
    """Not a bare OSError."""
    fail_at("fsync", nth, OSError(5, "Input/output error"))
    with writing(unpublished), pytest.raises(WriteError, match="Input/output error"):
        publish(unpublished, 2, "no luck")
    assert current(unpublished) == 1
