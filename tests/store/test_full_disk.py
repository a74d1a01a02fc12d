import os
import resource
import subprocess

import pytest

from store.check import broken_records
from store.errors import WriteError
from store.pointer import current
from store.publish import rollback
from store.snapshot import open_snapshot
from tests.snapshots import files_of, make_snapshot

MANY = {f"user{n:05d}": [f"item{n % 50 + m}" for m in range(20)] for n in range(5_000)}
BUILD_MANY = """
import sys
from pathlib import Path
from store.errors import WriteError
from tests.snapshots import make_snapshot
lists = {f"user{n:05d}": [f"item{n % 50 + m}" for m in range(20)] for n in range(5_000)}
try:
    make_snapshot(Path(sys.argv[1]), lists, ["item1"])
except WriteError as error:
    print(error)
    sys.exit(3)
"""


def at_most(n_bytes):
    """Return a function that limits the size of files that this process writes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def fill(folder):
    """Leave no byte of the disk free."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\0" * 4096)
            except OSError:
                return


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB, which only root may mount."""
    if os.geteuid() != 0:
        pytest.skip("no full disk: only root may mount one")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "marquee-test", folder]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no full disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("n_bytes", [0, 4096, 8192, 100_000, 500_000])
def test_a_limit_on_file_size_is_a_write_error_and_leaves_nothing(two, python, n_bytes):
    """Whatever the limit, the store is unchanged."""
    before = files_of(two)
    done = python("-c", BUILD_MANY, two, preexec_fn=at_most(n_bytes))
    assert done.returncode == 3, done.stderr
    assert "check free disk space" in done.stdout
    assert files_of(two) == before


def test_a_build_below_the_limit_succeeds(two, python):
    """The new snapshot is current and sound."""
    done = python("-c", BUILD_MANY, two, preexec_fn=at_most(10_000_000))
    assert done.returncode == 0, done.stderr
    with open_snapshot(two, current(two)) as snapshot:
        assert snapshot.generation == 3
        assert list(broken_records(snapshot)) == []


def test_a_full_disk_is_a_write_error_and_leaves_nothing(small_disk):
    """A small snapshot fits, a large one does not; the store is unchanged."""
    store = small_disk / "store"
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    before = files_of(store)
    with pytest.raises(WriteError, match="the disk is full"):
        make_snapshot(store, MANY, ["item1"])
    assert files_of(store) == before
    with open_snapshot(store, current(store)) as snapshot:
        assert list(broken_records(snapshot)) == []


def test_after_a_full_disk_the_next_build_succeeds(small_disk):
    """A failed build leaves no files on the disk."""
    store = small_disk / "store"
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    for _ in range(3):
        with pytest.raises(WriteError):
            make_snapshot(store, MANY, ["item1"])
    assert make_snapshot(store, {"ann": ["b"]}, ["b"]) == 2


def test_a_rollback_on_a_full_disk_is_a_write_error(small_disk):
    """The pointer cannot be written: the current generation stays current."""
    store = small_disk / "store"
    for _ in range(2):
        make_snapshot(store, {"ann": ["a"]}, ["a"])
    fill(small_disk)
    with pytest.raises(WriteError, match="No space left on device"):
        rollback(store, "in a hurry")
    assert current(store) == 2


def test_a_rollback_works_after_space_was_freed(small_disk):
    """The interrupted rollback is voided, and the new one done."""
    store = small_disk / "store"
    for _ in range(2):
        make_snapshot(store, {"ann": ["a"]}, ["a"])
    fill(small_disk)
    with pytest.raises((WriteError, OSError), match="No space"):
        rollback(store, "in a hurry")
    (small_disk / "ballast").unlink()
    assert rollback(store, "with space") == current(store) == 1


@pytest.mark.parametrize("n_more", [0, 10, 30])
def test_a_rollback_without_space_for_its_journal_line_is_1(two, command, n_more):
    """The line is torn, the flip does not happen, and no traceback is printed."""
    n_bytes = (two / "JOURNAL").stat().st_size + n_more
    done = command("rollback", "--why", "in a hurry", preexec_fn=at_most(n_bytes))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert current(two) == 2
