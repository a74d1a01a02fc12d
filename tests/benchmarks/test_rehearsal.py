"""The rehearsal holds where all is well, and says what went wrong where it is not."""

import contextlib
import os
import threading
from pathlib import Path

import pytest

from benchmarks.scenarios.rehearsal import __main__ as rehearsal
from cron.settings import CronSettings

SIZE = ["--seconds", "5", "--users", "300", "--items", "80", "--rate", "100"]


@contextlib.contextmanager
def niceness_of_refreshes(folder):
    """Yield a set that fills with the niceness of each refresh that works below `folder`."""
    found, is_over = set(), threading.Event()

    def look():
        while not is_over.wait(0.02):
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


def test_a_short_rehearsal_holds(tmp_path, capsys):
    """Three publishes, a rollback, a takedown and kills, and every request succeeds."""
    with niceness_of_refreshes(tmp_path) as found:
        assert rehearsal.main([*SIZE, "--folder", str(tmp_path)]) == 0
    assert found == {os.nice(0) + CronSettings().nice}  # they stand back, as at night
    line = last_line(capsys)
    assert line.startswith("REHEARSAL HELD: 100 % of ")
    for what in ("a refresh of new events", "a rollback", "a takedown", "kills of workers"):
        assert what in line
    assert line.count("a publish") == 3


def test_what_was_not_done_fails_it(monkeypatch, capsys):
    """A takedown and a rollback that do nothing are found out."""
    for broken in ("take_down", "rollback"):
        monkeypatch.setattr(rehearsal, broken, lambda *_: None)
    assert rehearsal.main(SIZE) == 1
    line = last_line(capsys)
    assert line.startswith("REHEARSAL FAILED: a rollback: 2 is current, not 1; ")
    assert "answers held what was taken down" in line


def test_a_refresh_that_fails_is_told_with_its_reason(tmp_path):
    """Where nothing is published, the error says why."""
    (tmp_path / "history").mkdir()
    with pytest.raises(RuntimeError, match=r"no such file|not found|does not exist"):
        rehearsal._refresh(tmp_path, [tmp_path / "nowhere"])
