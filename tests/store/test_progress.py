"""Progress: a line on a terminal, which is removed; nothing elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from store.progress import on_terminal
from tests.store.conftest import ROOT
from tests.store.replicas import push_to


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_share_and_is_left_empty(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("store.progress._MIN_SECONDS", 0.0)
    with on_terminal("recs.mdb", 4_000_000) as advance:
        advance(1_000_000)
        advance(2_000_000)
    drawn = terminal.getvalue().split("\r\033[K")
    assert [line[:36] for line in drawn[1:-1]] == [
        f"recs.mdb  {'━' * n}{'╌' * (20 - n)}  {5 * n:3}%" for n in (0, 5, 15)
    ]
    assert "3.0 of 4.0 MB" in drawn[-2]
    assert drawn[0] == drawn[-1] == ""


def test_a_failure_leaves_no_line_behind(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(OSError, match="disk"), on_terminal("x", 0):
        raise OSError("disk")
    assert terminal.getvalue().endswith("\r\033[K")


def test_a_log_gets_nothing(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with on_terminal("recs.mdb", 4) as advance:
        advance(4)
    assert log.getvalue() == ""


def run_on_a_terminal(*arguments):
    """Run a command whose standard error is a terminal; return what that was sent."""
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-m", "store", *map(str, arguments)], cwd=ROOT,
                          stdout=subprocess.DEVNULL, stderr=theirs, check=False)  # fmt: skip
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert done.returncode == 0, shown
    return shown.decode()


def _read(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed, and all is read
        return b""


def test_pull_and_load_show_what_arrives(two, there, node, command, tmp_path):
    """The twin is in the tests of the commands: without a terminal, standard error is empty."""
    push_to(there, two)
    shown = run_on_a_terminal("--store", node, "pull", there)
    assert re.search("generation 2  [━╌]{20} ", shown)
    assert shown.endswith("\033[K")
    dump = tmp_path / "dump"
    dump.write_text(command("dump").stdout)
    assert re.search("load  [━╌]{20} ", run_on_a_terminal("--store", node, "load", dump))
