"""Progress: a line on a terminal, which is removed; nothing elsewhere."""

import contextlib
import io
import itertools
import logging
import os
import pty
import re
import subprocess
import sys

import pytest

from store.check import broken_records
from store.commands.replica import _log_to_standard_error
from store.diff import diff
from store.dump import dump, dump_items, dump_users
from store.forget import forget
from store.layout import snapshot_folder
from store.manifest import verify
from store.progress import RECORDS, counted, on_terminal
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot
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


def test_records_are_counted_in_records_and_work_without_a_total_in_seconds(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("store.progress._MIN_SECONDS", 0.0)
    with on_terminal("lists", 1_500, RECORDS) as advance:
        assert list(counted(range(1_500), advance)) == [*range(1_500)]
    assert "lists  ━━━━━━━━━━━━━━━━━━━━  100%  1,500 of 1,500 records  0 s" in terminal.getvalue()
    with on_terminal("waits", 0) as advance:
        advance(0)
    assert terminal.getvalue().endswith("waits  0 s\r\033[K")


def test_a_log_line_replaces_the_line_that_is_drawn(monkeypatch, caplog):
    """Elsewhere than on a terminal it begins with its time."""
    for name in ("", "store"):
        caplog.set_level(logging.WARNING, name)  # restores at the end what is set below
    written = {}
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        _log_to_standard_error()
        with on_terminal("recs.mdb", 4_000_000):
            logging.getLogger("store").info("generation 2 is current")
        written[type(stream)] = stream.getvalue()
    assert re.search(r" 0 s\r\033\[K\d+[^\r]+ is current\n\r\033\[K$", written[Terminal])
    assert re.fullmatch(r"\d+[-: ,\d]+INFO generation 2 is current\n", written[io.StringIO])


class Counts:
    """Progress that adds up what each piece of work announces, and what it does."""

    def __init__(self):
        self.announced, self.done = {}, {}

    @contextlib.contextmanager
    def __call__(self, name, n_whole, unit=None):
        self.announced[name], self.done[name] = n_whole, 0

        def advance(n_done):
            self.done[name] += n_done

        yield advance


@pytest.mark.parametrize("n_shards", [1, 3])
def test_each_walk_over_a_snapshot_does_what_it_announces(store, n_shards):
    """And a walk that ends early does less."""
    lists = {f"user{number}": ["a", "b"] for number in range(600)}
    contents = {"spares": {"user1": ["c"]}, "similar": {"a": ["b"]}, "n_shards": n_shards,
                "profiles": dict.fromkeys(lists, "F")}  # fmt: skip
    for _ in range(2):
        make_snapshot(store, lists, ["a", "c"], **contents)
    walks = {
        "verify": lambda one, _, counts: verify(one.folder, progress=counts),
        "check": lambda one, _, counts: list(broken_records(one, counts)),
        "dump": lambda one, _, counts: list(dump(one, one.manifest.as_json(), counts)),
        "users": lambda one, _, counts: list(dump_users(one, counts)),
        "items": lambda one, _, counts: list(dump_items(one, counts)),
        "diff": lambda one, two, counts: diff(one, two, progress=counts),
    }
    with open_snapshot(store, 1) as one, open_snapshot(store, 2) as two:
        for name, walk in walks.items():
            walk(one, two, counts := Counts())
            manifest_bytes = (one.folder / "MANIFEST.json").stat().st_size
            extra = manifest_bytes if name == "verify" else 0
            assert counts.announced, name
            assert sum(counts.done.values()) == sum(counts.announced.values()) + extra, name
        list(itertools.islice(dump(one, {}, counts := Counts()), 2))
        assert sum(counts.done.values()) < sum(counts.announced.values())
    forget(store, ["user7"], "asked for", 0, counts := Counts())
    copied = {name: n for name, n in counts.done.items() if name.startswith("copy")}
    assert copied == {f"copy of {number}": counts.announced[f"copy of {number}"]
                      for number in (1, 2)}  # fmt: skip
    assert counts.done["old snapshots removed"] == 2
    assert snapshot_folder(store, 4).is_dir()


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


def test_commands_show_what_they_do(two, there, node, command, tmp_path):
    """The twin is in the tests of the commands: without a terminal, standard error is empty."""
    push_to(there, two)
    shown = run_on_a_terminal("--store", node, "pull", there)
    assert re.search("generation 2  [━╌]{20} ", shown)
    assert shown.endswith("\033[K")
    dump = tmp_path / "dump"
    dump.write_text(command("dump").stdout)
    assert re.search("load  [━╌]{20} ", run_on_a_terminal("--store", node, "load", dump))
    for verb, drawn in (("verify", "records of 2"), ("dump", "files of 2"),
                        ("forget ann --log none", "copy of 1")):  # fmt: skip
        assert f"{drawn}  ╌╌" in run_on_a_terminal("--store", two, *verb.split())
