"""A power cut at any system call that writes the scheduler's state: no job is run twice."""

import contextlib
import io
import itertools
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cron import scheduler as scheduler_module
from cron.alarms import Alarms, Condition
from cron.child import Ending
from cron.jobs import Job
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import read_state, state_file
from store.stop import StopRequest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("once", "again")


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


class Disk:
    """Lets `n_calls` system calls pass, and cuts the power at the next one.

    With `is_lossy` the cut undoes the renames whose directory was not forced to disk; `n_unsafe`
    is their number at the cut.
    """

    def __init__(self, monkeypatch, n_calls, *, is_lossy=False):
        self._left, self._is_lossy = n_calls, is_lossy
        self.n_unsafe = 0
        self._undo: list[tuple[Path, bytes | None]] = []
        self._replace, self._fsync = os.replace, os.fsync
        monkeypatch.setattr(os, "replace", self._cut_before(self.replace))
        monkeypatch.setattr(os, "fsync", self._cut_before(self.fsync))
        monkeypatch.setattr(os, "open", self._cut_before(os.open))
        monkeypatch.setattr(io, "open", self._cut_before(io.open))

    def replace(self, source, target):
        target = Path(target)
        self._undo.append((target, target.read_bytes() if target.exists() else None))
        self._replace(source, target)

    def fsync(self, descriptor):
        self._fsync(descriptor)
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            self._undo.clear()

    def _cut_before(self, call):
        def called(*arguments, **options):
            if self._left == 0:
                self._lose()
                raise PowerCut
            self._left -= 1
            return call(*arguments, **options)

        return called

    def _lose(self):
        self.n_unsafe = len(self._undo)
        self._left = -1  # the calls from here on pass
        if self._is_lossy:
            for target, content in reversed(self._undo):
                target.unlink() if content is None else target.write_bytes(content)
        self._undo.clear()
        self._left = 0


def scheduler_of(folder, now):
    settings = CronSettings(path=str(folder), timezone="UTC", log_dir=str(folder / "log"))
    jobs = {
        name: Job(
            ("sh", "-c", f"echo >> {folder}/{name}.runs"), at="03:30", name=name,
            repeatable=name == "again",
        )
        for name in NAMES
    }  # fmt: skip
    return Scheduler(settings, jobs, folder / "store", StopRequest(), clock=lambda: now)


def steps(scheduler):
    for _ in range(3):
        scheduler.step()
        scheduler.wait()


def n_runs(folder):
    files = {name: folder / f"{name}.runs" for name in NAMES}
    return {name: len(f.read_text()) if f.exists() else 0 for name, f in files.items()}


def end_processes(scheduler):
    """End what the power cut ends: running jobs, and the locks of the scheduler."""
    for running in scheduler._running.values():
        process = running.child._process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        running.resources.close()


@pytest.fixture(autouse=True)
def short_polls(monkeypatch):
    monkeypatch.setattr(scheduler_module, "_POLL_SECONDS", 0.002)


def cut(folder, monkeypatch, n_calls, *, is_lossy=False):
    """Cut the power after a number of calls; return whether it was, and what could be lost.

    The next scheduler runs no job a second time but a repeatable one whose run had begun.
    """
    folder.mkdir()
    scheduler, is_cut = scheduler_of(folder, NOON), False
    with monkeypatch.context() as patch:
        disk = Disk(patch, n_calls, is_lossy=is_lossy)
        try:
            steps(scheduler)
        except PowerCut:
            is_cut = True
    end_processes(scheduler)
    began = {name: read_state(state_file(folder, name)).is_open for name in NAMES}
    restarted = scheduler_of(folder, NOON + timedelta(minutes=5))
    steps(restarted)
    found = n_runs(folder)
    assert found["once"] in ((0, 1) if began["once"] else (1,))
    assert found["again"] in ((1, 2) if began["again"] else (1,))
    assert restarted.state("again").ending is Ending.SUCCEEDED
    return is_cut, disk.n_unsafe


def test_no_job_runs_twice_after_a_power_cut(tmp_path, monkeypatch):
    """Whichever call it hits, whether renames that are not on disk yet are lost or not."""
    n_lossy = 0
    for n_calls in itertools.count():
        is_cut, n_unsafe = cut(tmp_path / f"{n_calls}", monkeypatch, n_calls)
        if n_unsafe:
            cut(tmp_path / f"{n_calls}-lossy", monkeypatch, n_calls, is_lossy=True)
            n_lossy += 1
        if not is_cut:
            break
    assert n_calls > 30  # two jobs, each with the begin and the end of a run
    assert n_lossy >= 4


def test_after_a_lost_begin_and_a_lost_end_the_next_night_is_as_ever(tmp_path, monkeypatch):
    """Each job runs once."""
    for n_calls in (5, 12, 25):
        folder = tmp_path / f"{n_calls}"
        cut(folder, monkeypatch, n_calls, is_lossy=True)
        before = n_runs(folder)
        steps(scheduler_of(folder, NOON + timedelta(days=1)))
        assert n_runs(folder) == {name: n + 1 for name, n in before.items()}


def test_alarms_survive_a_power_cut(tmp_path, monkeypatch):
    """An alarm is there as before the cut or as after; what was recorded as sent stays so."""
    for n_calls in itertools.count():
        file = tmp_path / f"{n_calls}"
        is_cut = is_sent = False
        with monkeypatch.context() as patch:
            Disk(patch, n_calls, is_lossy=True)
            try:
                alarms = Alarms(file)
                alarms.update([Condition("disk", 1, "full")], NOON)
                alarms.sent(alarms.messages(is_quiet=False))
                is_sent = True
            except PowerCut:
                is_cut = True
        alarms = Alarms(file)
        alarms.update([Condition("disk", 1, "full")], NOON)
        messages = alarms.messages(is_quiet=False)
        assert [message.name for message in messages] == ([] if is_sent else ["disk"])
        if not is_cut:
            break
    assert n_calls > 8
