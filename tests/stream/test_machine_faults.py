"""Faults of the machine: no room, no inodes, a read-only disk, a clock set back, many files."""

import os
import shutil
import subprocess
import time

import pytest

from stream.collect.folder import CollectorFolder
from stream.errors import StreamError
from tests.stream.collecting import (
    all_rows,
    bulk_rows,
    check_nothing_lost,
    collect_all,
    collect_files,
    ledger_state,
    made_lines,
    opened,
)

# A hundred thousand in the campaign, where it may take a minute to make them.
N_SEGMENTS = 100_000 if os.environ.get("STREAM_CAMPAIGN") else 10_000
N_LINKS = 50_000  # file systems allow some 65,000 of one file


@pytest.fixture
def log(tmp_path):
    return tmp_path / "events.log"


def append(path, lines):
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


@pytest.fixture
def small_disk(tmp_path):
    """Directory of the events on a disk of 1 MiB with 100 inodes, which only root may mount."""
    folder = tmp_path / "events"
    folder.mkdir()
    options = "size=1m,nr_inodes=100"
    mount = ["mount", "-t", "tmpfs", "-o", options, "marquee-test", folder]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let its user mount a small disk")
    yield folder
    # Lazily: the error in the log that pytest keeps holds the file that could not be written.
    subprocess.run(["umount", "--lazy", folder], check=True)


def use_up_room(folder):
    with (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def use_up_inodes(folder):
    for number in range(1000):
        (folder / f"filler-{number}").touch()


@pytest.mark.parametrize("use_up", [use_up_room, use_up_inodes])
def test_a_disk_without_room_or_inodes_pauses_and_loses_nothing(tmp_path, log, small_disk, use_up):
    """Nothing is taken in meanwhile; once there is room again, everything is written, once."""
    lines = made_lines(120, n_broken=4)
    append(log, lines[:60])
    with opened(tmp_path, [log], flush_lines=10) as (collector, _):
        collector.step()
        with pytest.raises(OSError, match="No space left"):
            use_up(small_disk)
        append(log, lines[60:90])
        collector.step()
        append(log, lines[90:])
        collector.step()
        assert (collector.n_held, ledger_state(tmp_path).n_messages) == (30, 60)
        assert not [*CollectorFolder(small_disk).pending.iterdir()]
        for filler in small_disk.glob("filler*"):
            filler.unlink()
        collector._retry_at = 0.0
        collector.step()
        collect_all(collector)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


def test_a_read_only_disk_is_an_error_and_changes_nothing(tmp_path, log, small_disk):
    """And the twin: when it can be written again, the collector reads on where it was."""
    lines = made_lines(60)
    append(log, lines[:30])
    collect_files(tmp_path, log)
    append(log, lines[30:])
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with (
        pytest.raises(StreamError, match="cannot be written: Read-only file system"),
        opened(tmp_path, [log]),
    ):
        pass
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    collect_files(tmp_path, log)
    check_nothing_lost(tmp_path, lines)


@pytest.mark.parametrize("is_lost", [False, True], ids=["ledger", "lost ledger"])
def test_a_clock_that_is_set_back_an_hour_loses_nothing(tmp_path, log, monkeypatch, is_lost):
    """A rebuilt ledger numbers flushes by the clock: no segment is replaced by a later one."""
    lines, now = made_lines(300), time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    for part, clock in enumerate((now, now + 3600, now + 3600, now)):
        now = clock
        append(log, lines[75 * part : 75 * (part + 1)])
        if is_lost:
            CollectorFolder(tmp_path / "events").ledger.unlink(missing_ok=True)
        collect_files(tmp_path, log)
    assert [len(ranges) for ranges in ledger_state(tmp_path).ranges.values()] == [1]
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]


def test_it_starts_beside_very_many_segments_in_5_seconds(tmp_path, log):
    """Neither the start nor a flush looks at them; a day has as many if it is never folded."""
    lines = made_lines(60)
    append(log, lines[:30])
    collect_files(tmp_path, log)
    day = min((tmp_path / "events" / "views").iterdir())
    (first,) = day.iterdir()
    names = [first.with_name(first.name.replace("01.p", f"01{n}.p")) for n in range(N_SEGMENTS)]
    for begin in range(0, N_SEGMENTS, N_LINKS):
        source = shutil.copyfile(first, names[begin])
        for name in names[begin + 1 : begin + N_LINKS]:
            os.link(source, name)
    append(log, lines[30:])
    began = time.process_time()
    collect_files(tmp_path, log)
    assert time.process_time() - began < 5
    assert len(os.listdir(day)) > N_SEGMENTS  # noqa: PTH208  names alone
    shutil.rmtree(day)  # the machine's own removal of old test directories is slow
    assert ledger_state(tmp_path).n_messages == 60
