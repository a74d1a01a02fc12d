"""The spool: whole lines, durable before `append` returns, in files that are removed once taken."""

import errno
import os
import time

import pytest

from store.errors import SpoolFullError, StoreBusyError, WriteError
from store.spool import _MAX_FILE_BYTES as MAX_FILE_BYTES
from store.spool import Spool, SpoolLimits, remove_collected, spool_files

LIMITS = SpoolLimits(max_mib=1, min_free_mib=0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


def content(folder):
    return [file.path.read_bytes() for file in spool_files(folder)]


def synced(monkeypatch):
    """Record the size of each regular file that is synced."""
    sizes, fsync = [], os.fsync

    def recording(descriptor):
        fsync(descriptor)
        sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", recording)
    return sizes


def test_what_was_appended_is_synced_and_read_back(folder, monkeypatch):
    """Positions are those of the bytes, from the file's name on."""
    sizes = synced(monkeypatch)
    spool = Spool(folder, LIMITS)
    spool.append(b"a\n")
    spool.append(b"bc\n")
    (file,) = spool_files(folder)
    assert sizes[-1] == 5
    assert (file.path.read_bytes(), file.end - file.begin, file.is_newest) == (b"a\nbc\n", 5, True)
    assert file.begin <= time.time_ns()


def test_each_writer_begins_above_every_position_of_the_last(folder):
    """So does one whose clock went back; a torn line of the last is cut off, whole ones are not."""
    first = Spool(folder, LIMITS)
    first.append(b"whole\n")
    first._lock.close()  # as when its process ends
    (old,) = spool_files(folder)
    future = old.path.rename(folder / f"{old.begin + 10**15:019}.log")
    with future.open("ab") as file:
        file.write(b"torn" * 50_000)  # longer than a block that is searched
    Spool(folder, LIMITS).append(b"next\n")
    assert content(folder) == [b"whole\n", b"next\n"]
    assert spool_files(folder)[1].begin == old.begin + 10**15 + MAX_FILE_BYTES


def test_full_files_are_followed_without_a_hole(folder, monkeypatch):
    """Then the older ones are removed as far as they were collected, never the newest."""
    monkeypatch.setattr("store.spool._FILE_BYTES", 4)
    spool = Spool(folder, LIMITS)
    for number in range(3):
        spool.append(b"line%d\n" % number)
    files = spool_files(folder)
    assert [file.begin for file in files[1:]] == [file.end for file in files[:-1]]
    remove_collected(folder, files[0].end - 1)
    assert len(spool_files(folder)) == 3
    remove_collected(folder, files[2].end)
    assert content(folder) == [b"line2\n"]


@pytest.mark.parametrize("writer", ["same", "next"])
def test_a_full_spool_takes_nothing_more_until_it_is_collected(folder, writer):
    """The limit counts what is there and what would come; the file that is full is completed."""
    spool = Spool(folder, LIMITS)
    spool.append(b"x" * 700_000 + b"\n")
    if writer == "next":
        spool._lock.close()
        spool = Spool(folder, LIMITS)
    for _ in range(2):
        with pytest.raises(SpoolFullError, match=r"full.*stream collect"):
            spool.append(b"y" * 400_000 + b"\n")
    assert len(spool_files(folder)) == 2
    remove_collected(folder, spool_files(folder)[0].end)
    spool.append(b"y" * 400_000 + b"\n")
    assert content(folder) == [b"y" * 400_000 + b"\n"]


def test_little_free_space_is_an_error(folder):
    with pytest.raises(WriteError, match="MiB are free"):
        Spool(folder, SpoolLimits(1, 1 << 40)).append(b"a\n")
    assert b"".join(content(folder)) == b""


def test_a_second_writer_is_refused(folder):
    """The lock is taken with the first append, and held."""
    first, second = Spool(folder, LIMITS), Spool(folder, LIMITS)
    first.append(b"a\n")
    with pytest.raises(StoreBusyError):
        second.append(b"b\n")
    assert content(folder) == [b"a\n"]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failed_write_leaves_whole_lines_and_another_file(folder, monkeypatch, call):
    """Nothing can be said of the end of the file, so the next append begins another."""
    spool = Spool(folder, LIMITS)
    spool.append(b"a\n")
    with monkeypatch.context() as patch:

        def fails(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, call, fails)
        with pytest.raises(WriteError, match="No space"):
            spool.append(b"lost\n")
    spool.append(b"b\n")
    assert content(folder) == [b"a\n", b"b\n"]


def test_a_removed_file_is_not_written_to(folder):
    """Not even while it is open."""
    spool = Spool(folder, LIMITS)
    spool.append(b"a\n")
    spool_files(folder)[0].path.unlink()
    spool.append(b"b\n")
    assert content(folder) == [b"b\n"]
