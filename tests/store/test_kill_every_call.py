"""A refresh of the store that is killed, or whose disk fails, at every system call it makes.

    dry run under strace     which calls touch the store, in their order
    one case for each        the same refresh on a copy, struck at that call

The refresh mends what an earlier crash left, builds generation 4, makes it
current and prunes 1 and 2. Opening files is struck too, and every call gets
ENOSPC as well as EIO, with `STORE_FAULTS=all .venv/bin/pytest tests/store/test_kill_every_call.py`
(about 460 cases instead of 230).
"""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from store.errors import StoreError
from store.journal import flips
from store.layout import building_folder, generations, snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.prune import prune
from store.publish import writing
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot

REFRESH = """
import sys
from pathlib import Path
from store.errors import StoreError
from store.prune import prune
from store.publish import writing
from tests.snapshots import make_snapshot
store = Path(sys.argv[1])
try:
    make_snapshot(store, {"ann": ["item4", "a"]}, ["a"])
    with writing(store):
        prune(store, keep=2)
except StoreError as error:
    print(error)
    sys.exit(1)
"""
ALL = os.environ.get("STORE_FAULTS") == "all"
WRITES = ("mkdir", "pwrite64", "sendfile", "write", "writev")
CALLS = (*WRITES, "fdatasync", "fsync", "rename", "rmdir", "unlinkat", *(("openat",) if ALL else ()))
ERRORS = [("EIO", call) for call in CALLS]
ERRORS += [("ENOSPC", call) for call in (CALLS if ALL else WRITES)]
MESSAGES = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}
N_AT_ONCE = 2


class Call(NamedTuple):
    """One system call of the dry run that touches the store.

    Attributes:
        name: Of the call.
        nth: Which one of that name, from 1.
        is_before_flip: Whether `CURRENT` still names the old one when it begins.
        line: What strace wrote of it.
    """

    name: str
    nth: int
    is_before_flip: bool
    line: str


@pytest.fixture
def crashed(store):
    """Generations 1 to 3, half a build, and a journal line that breaks off before its flip."""
    for generation in (1, 2, 3):
        make_snapshot(store, {"ann": [f"item{generation}", "a"]}, ["a"])
    building_folder(store, 4).mkdir()
    (building_folder(store, 4) / "recs.mdb").write_bytes(b"half")
    with (store / "JOURNAL").open("a") as file:
        file.write("2026-03-01T02:30:00+00:00\t2\trollback\tnever fl")
    return store


@pytest.fixture
def calls(crashed, traced, tmp_path):
    """The system calls that a refresh of a copy of `crashed` makes on the store."""
    copy, log = tmp_path / "dry", tmp_path / "log"
    shutil.copytree(crashed, copy)
    options = ["-y", "-o", log, "-e", f"trace={','.join((*CALLS, 'openat'))}"]
    assert traced(options, "-c", REFRESH, copy).returncode == 0
    return _calls(log.read_text().splitlines(), str(copy))


def _calls(lines, store):
    made, n_made, is_before_flip = [], {}, True
    for line in lines:
        if found := re.match(r"\d+ +(\w+)\(", line):
            name = found[1]
            n_made[name] = n_made.get(name, 0) + 1
            if store in line and " = -1 " not in line:
                made.append(Call(name, n_made[name], is_before_flip, line))
            is_before_flip &= not (name == "rename" and "CURRENT.pending" in line)
    return made


@pytest.fixture
def strike(crashed, calls, strace, tmp_path):
    """Refresh a copy of `crashed` for each call of a name, struck there, and judge what is left.

    Returns the complaints of `judge(call, store, done)`, and how many cases there were.
    """

    def case(call, fault, judge):
        copy = tmp_path / f"{call.name}-{call.nth}"
        shutil.copytree(crashed, copy)
        done = strace(call.name, f"{fault}:when={call.nth}", "-c", REFRESH, copy)
        try:
            judge(call, copy, done)
        except (AssertionError, StoreError, OSError) as error:
            return f"{call.line[:150]}: {type(error).__name__}: {error} {done.stderr[-300:]}"
        return None

    def run(name, fault, judge):
        struck = [call for call in calls if call.name == name]
        with ThreadPoolExecutor(N_AT_ONCE) as pool:
            said = list(pool.map(lambda call: case(call, fault, judge), struck))
        assert struck, "the dry run made no such call"
        return [complaint for complaint in said if complaint]

    return run


def _leftovers(store):
    return sorted(path.name for path in store.rglob("*") if path.suffix in (".building", ".pending"))


def _serves_a_whole_snapshot(store):
    generation = current(store)
    with open_snapshot(store, generation) as snapshot:
        assert dict(snapshot.users) == {b"ann": b"item%d,a" % generation}
    return generation


def _next_refresh_cleans_up(store):
    served = current(store)
    newest = max(generations(store)) + 1
    make_snapshot(store, {"ann": [f"item{newest}", "a"]}, ["a"])
    with writing(store):
        prune(store, keep=2)
    assert served < _serves_a_whole_snapshot(store) == newest == flips(store)[-1].generation
    assert _leftovers(store) == []
    for generation in generations(store):
        verify(snapshot_folder(store, generation))
    gone = set(range(1, newest)) - set(generations(store))
    kept = [json.loads(path.read_bytes()) for path in (store / "manifests").iterdir()]
    assert {manifest["generation"] for manifest in kept} == gone


def _killed(call, store, done):
    assert done.returncode in (-9, 137), done.returncode
    assert _serves_a_whole_snapshot(store) in ((3,) if call.is_before_flip else (3, 4))
    _next_refresh_cleans_up(store)


@pytest.mark.parametrize("name", CALLS)
def test_killed_at_any_call_the_old_or_the_new_one_is_whole_and_the_next_refresh_cleans_up(
    strike, name
):
    """SIGKILL at each such call in turn; before the flip it is always the old one."""
    assert strike(name, "signal=SIGKILL", _killed) == []


@pytest.mark.parametrize(("error", "name"), ERRORS)
def test_a_failing_call_is_told_and_leaves_nothing(crashed, strike, error, name):
    """A StoreError that says why, status 1, no new leftovers, and the next refresh succeeds.

    Up to and including the flip's rename the old one is current. A call that
    fails after it (the directory's fsync, pruning) is told all the same, but the
    new one is current by then, and whole.
    """
    before = set(_leftovers(crashed))

    def failed(call, store, done):
        if done.returncode == 0:  # shutil copies without sendfile then: nothing failed
            assert name == "sendfile"
            assert _leftovers(store) == []
        else:
            assert done.returncode == 1
            assert "Traceback" not in done.stderr
            assert MESSAGES[error] in done.stdout
        assert set(_leftovers(store)) <= before
        assert _serves_a_whole_snapshot(store) == (3 if call.is_before_flip else 4)
        _next_refresh_cleans_up(store)

    assert strike(name, f"error={error}", failed) == []


def test_a_refresh_that_nothing_strikes_succeeds(crashed, strace):
    """The twin: a fault at a call that never comes changes nothing."""
    done = strace("rename", "signal=SIGKILL:when=1000", "-c", REFRESH, crashed)
    assert done.returncode == 0, done.stderr
    assert _serves_a_whole_snapshot(crashed) == 4
    assert generations(crashed) == [3, 4]
    assert _leftovers(crashed) == []
