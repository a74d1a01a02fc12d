"""The rehearsal passes where every request succeeds, and names each problem otherwise."""

import contextlib
import os
import re
import threading
from pathlib import Path

import pytest

from benchmarks.scenarios.rehearsal import script
from benchmarks.scenarios.rehearsal.__main__ import main
from benchmarks.scenarios.rehearsal.processes import run_job
from benchmarks.scenarios.rehearsal.settings import Addresses, write_settings
from cron.settings import CronSettings

SIZE = ["--seconds", "5", "--users", "300", "--items", "80", "--rate", "100", "--light"]


# Its refreshes have a low priority: on busy cores each waits for minutes.
pytestmark = pytest.mark.timeout(1800)


@contextlib.contextmanager
def niceness_of_refreshes(folder):
    """Yield a set that fills with the niceness of each refresh that works below `folder`."""
    found: set[int] = set()
    is_over = threading.Event()

    def look():
        while not is_over.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it is over
                    command = (process / "cmdline").read_bytes().decode(errors="replace")
                    if "\0batch\0refresh\0" in command and str(folder) in command:
                        found.add(os.getpriority(os.PRIO_PROCESS, int(process.name)))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        is_over.set()
        watcher.join()


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.alone
def test_short_rehearsal_passes(tmp_path, capsys):
    """Three publishes, a rollback, a takedown and kills, and every request succeeds."""
    with niceness_of_refreshes(tmp_path) as found:
        assert main([*SIZE, "--folder", str(tmp_path)]) == 0
    assert found == {os.nice(0) + CronSettings().nice}  # low priority, as at night
    out, err = capsys.readouterr()
    for row in (r"lost +\| 0 ", r"twice +\| 0 ", r"collector +\| \d", r"disk: store +\| \d"):
        assert re.search(rf"^\| {row}", err, re.MULTILINE)
    line = out.splitlines()[-1]
    assert line.startswith("PASSED: 100 % of ")
    for what in ("a refresh of new events", "a rollback", "a takedown", "kills of workers"):
        assert what in line
    assert line.count("a publish") == 3
    assert re.search(r"; \d[\d,]+ events are accounted for$", line)


@pytest.mark.alone
def test_operations_without_effect_fail_it(monkeypatch, capsys):
    """A takedown and a rollback that do nothing are reported."""
    for broken in ("take_down", "rollback"):
        monkeypatch.setattr(script, broken, lambda *_: None)
    assert main(SIZE) == 1
    line = last_line(capsys)
    assert line.startswith("FAILED: a rollback: 2 is current, not 1; ")
    assert "responses held what was taken down" in line


def test_ctrl_c_waits_for_no_operation():
    """Operations may wait for minutes; without an exception their end is waited for."""
    is_over, done = threading.Event(), []

    def wait():
        is_over.wait()
        done.append("end")

    with pytest.raises(KeyboardInterrupt), script.in_thread(wait):
        raise KeyboardInterrupt
    assert not done
    with script.in_thread(wait):
        is_over.set()
    assert done


def test_failed_refresh_is_reported_with_its_reason(tmp_path):
    """The error holds the end of the log of the refresh."""
    write_settings(tmp_path, Addresses(), speed=600)  # without a history
    with pytest.raises(RuntimeError, match=r"no such file|not found|does not exist"):
        run_job(tmp_path, "refresh")
