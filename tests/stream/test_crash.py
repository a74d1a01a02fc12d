"""Crashes: at whichever durable step the machine stops, the next start loses nothing."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream.collect.folder import CollectorFolder
from stream.collect.folding import fold_days
from stream.collect.retention import remove_old_days
from stream.errors import LedgerError
from tests.stream.collecting import (
    ROOT,
    check_nothing_lost,
    collect_all,
    collect_files,
    ledger_state,
    made_lines,
    opened,
    stream_settings,
)

# All of them in the campaign, some of them here.
STEPS = range(168) if os.environ.get("STREAM_CAMPAIGN") else [*range(0, 60, 5), *range(60, 168, 18)]


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


def cut_power_at(monkeypatch, step):
    """Let the first `step` durable calls pass; from then on each stops the machine."""
    counter = itertools.count()
    n_done = [0]

    def cutting(call):
        def called(*args, **named):
            if next(counter) >= step:
                raise PowerCut
            n_done[0] += 1
            return call(*args, **named)

        return called

    monkeypatch.setattr(os, "fsync", cutting(os.fsync))
    for name in ("replace", "unlink", "mkdir"):
        monkeypatch.setattr(Path, name, cutting(getattr(Path, name)))
    return n_done


def write_log(tmp_path, lines):
    log = tmp_path / "events.log"
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    return log


def collect_in_flushes(tmp_path, log):
    """Collect a log that grows, flush each part, and fold at the end."""
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        collector.flush()
        folder = CollectorFolder(tmp_path / "events")
        fold_days(folder, collector.ledger, stream_settings(tmp_path), all_days=True)


@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_at_any_step_loses_nothing(tmp_path, monkeypatch, step):
    """Two parts of a log: the second flush and its folding are cut at a durable call."""
    lines = made_lines(300, n_broken=9)
    log = write_log(tmp_path, lines[:150])
    collect_in_flushes(tmp_path, log)
    write_log(tmp_path, lines)
    with monkeypatch.context() as patch:
        cut_power_at(patch, step)
        with contextlib.suppress(PowerCut):
            collect_in_flushes(tmp_path, log)
    collect_files(tmp_path, log)
    check_nothing_lost(tmp_path, lines)


def test_the_steps_cover_the_whole_flush(tmp_path, monkeypatch):
    """The twin: without a cut the same calls pass, and fewer than the steps above."""
    log = write_log(tmp_path, made_lines(300))
    n_done = cut_power_at(monkeypatch, 1000)
    collect_in_flushes(tmp_path, log)
    assert 60 < n_done[0] < 168


@pytest.mark.parametrize("step", range(0, 40, 5))
def test_a_power_cut_in_retention_leaves_whole_days(tmp_path, monkeypatch, step):
    """Each day is there with all of its files, or gone and its hashes kept."""
    lines = made_lines(200)
    log = write_log(tmp_path, lines)
    collect_files(tmp_path, log)
    before, folder = days_of(tmp_path), CollectorFolder(tmp_path / "events")
    settings = stream_settings(tmp_path, keep_days=0.5)
    with monkeypatch.context() as patch, opened(tmp_path, [log]) as (collector, _):
        cut_power_at(patch, step)
        with contextlib.suppress(PowerCut):
            remove_old_days(folder, collector.ledger, settings)
    with opened(tmp_path, [log]):
        after = days_of(tmp_path)
    removed = folder.removed.read_text() if folder.removed.exists() else ""
    for day, files in before.items():
        assert after.get(day) == files or (day not in after and all(f in removed for f in files))
    assert after["date=2026-03-03"] == before["date=2026-03-03"]


def days_of(tmp_path):
    days: dict = {}
    for path in sorted((tmp_path / "events").glob("*/date=*/*")):
        days.setdefault(path.parent.name, []).append(path.name)
    return days


def test_a_file_that_the_ledger_names_and_nobody_has_is_an_error(tmp_path):
    """Something else removed it; a rebuilt ledger reads its lines again."""
    log = write_log(tmp_path, made_lines(30))
    collect_files(tmp_path, log)
    next((tmp_path / "events" / "views").rglob("*.parquet")).unlink()
    with pytest.raises(LedgerError, match=r"does not exist.*rebuild"), opened(tmp_path, [log]):
        pass


def test_a_killed_process_loses_nothing(tmp_path):
    """SIGKILL, several times, at moments that the lines decide."""
    lines = made_lines(6000, n_broken=30)
    log = write_log(tmp_path, [])
    (tmp_path / "marquee.toml").write_text(
        f'[stream]\nfiles = ["{log}"]\nevents = "{tmp_path / "events"}"\nmetrics_port = 0\n'
        "flush_seconds = 0.05\nmin_free_mib = 0.0\nfold_segments = 2\n"
        f'[batch]\nquarantine = "{tmp_path / "quarantine"}"\n'
    )
    command = [sys.executable, "-m", "stream", "collect", "--config", tmp_path / "marquee.toml"]
    for part in range(3):
        write_log(tmp_path, lines[: 2000 * (part + 1)])
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        wait_for_flush(tmp_path, part)
        process.send_signal(signal.SIGKILL)
        process.wait()
    collect_files(tmp_path, log)
    check_nothing_lost(tmp_path, lines)


def wait_for_flush(tmp_path, number):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if ledger_state(tmp_path).number > number:
                return
        except (OSError, LedgerError):
            pass
        time.sleep(0.01)
    raise AssertionError("no flush in time")
