"""A refresh of the store that is killed, or whose disk fails, at each of its system calls.

    dry run under strace     which calls touch the store, in their order
    one case for each        the same refresh on a copy, with the fault at that call

The refresh recovers from an earlier crash, builds generation 4, makes it current
and prunes 1 and 2. Rollback, pin, unpin and takedown are tested in the same way.
About 310 cases; with opening files, and ENOSPC for every call, about 550:

    STORE_FAULTS=all .venv/bin/pytest tests/store/test_kill_every_call.py
"""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from store.errors import StoreError
from store.journal import flips, journal
from store.layout import building_folder, generations, snapshot_folder
from store.manifest import verify
from store.pointer import current, pinned
from store.prune import prune
from store.publish import pin, unpin, writing
from store.snapshot import open_snapshot
from store.takedown import take_down, takedowns
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
except OSError as error:
    print("bare:", error)
    sys.exit(1)
"""
SHORT = """
import sys
from pathlib import Path
from store.publish import pin, rollback, unpin
from store.takedown import restore, take_down
store = Path(sys.argv[1])
"""
COMMANDS = {
    "rollback": 'rollback(store, "back", to=1)',
    "pin": 'pin(store, "hold", to=1)',
    "unpin": 'unpin(store, "good again")',
    "takedown": 'take_down(store, ["item1", "a"], "rights")',
    "restore": 'restore(store, ["item9"], "cleared")',
}
ALL = os.environ.get("STORE_FAULTS") == "all"
WRITES = ("mkdir", "pwrite64", "sendfile", "write", "writev")
CALLS = (
    *WRITES,
    "fdatasync",
    "fsync",
    "rename",
    "rmdir",
    "unlinkat",
    *(("openat",) if ALL else ()),
)
ERRORS = [("EIO", call) for call in CALLS]
ERRORS += [("ENOSPC", call) for call in (CALLS if ALL else WRITES)]
MESSAGES = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}
N_THREADS = 2


class Call(NamedTuple):
    """One system call of the dry run that touches the store.

    Attributes:
        name: Name of the system call.
        nth: Number among the calls of that name, from 1.
        is_before_flip: Whether `CURRENT` still names the old generation when it begins.
        line: Line of strace's log.
    """

    name: str
    nth: int
    is_before_flip: bool
    line: str


@pytest.fixture
def crashed(store):
    """Generations 1 to 3, an unfinished build, and a torn journal line without its flip."""
    for generation in (1, 2, 3):
        make_snapshot(store, {"ann": [f"item{generation}", "a"]}, ["a"])
    building_folder(store, 4).mkdir()
    (building_folder(store, 4) / "recs.mdb").write_bytes(b"half")
    with (store / "JOURNAL").open("a") as file:
        file.write("2026-03-01T02:30:00+00:00\t2\trollback\tno fl")
    return store


@pytest.fixture
def held(store):
    """Generations 1 to 3, pinned to 2, and `item9` taken down."""
    for generation in (1, 2, 3):
        make_snapshot(store, {"ann": [f"item{generation}", "a"]}, ["a"])
    pin(store, "for now", to=2)
    take_down(store, ["item9"], "rights")
    return store


def _unpinned(store):
    unpin(store, "no longer")
    return store


@pytest.fixture
def calls(traced, tmp_path):
    """Return the system calls that `script` makes on a copy of the store."""

    def dry_run(script, store):
        copy, log = tmp_path / "dry", tmp_path / "log"
        shutil.copytree(store, copy)
        options = ["-y", "-o", log, "-e", f"trace={','.join((*CALLS, 'openat', 'unlink'))}"]
        done = traced(options, "-c", script, copy)
        assert done.returncode == 0, done.stderr
        return _calls(log.read_text().splitlines(), str(copy))

    return dry_run


def _calls(lines, store):
    made: list[Call] = []
    n_made: dict[str, int] = {}
    is_before_flip = True
    for line in lines:
        if found := re.match(r"\d+ +(\w+)\(", line):
            name = found[1]
            n_made[name] = n_made.get(name, 0) + 1
            if store in line and " = -1 " not in line:
                made.append(Call(name, n_made[name], is_before_flip, line))
            is_before_flip &= not (name == "rename" and "CURRENT.pending" in line)
    return made


@pytest.fixture
def inject(calls, strace, tmp_path):
    """Run `script` on a copy of the store once for each of its calls, with a fault at that call.

    Returns the assertion errors of `check(call, store, done)`.
    """

    def case(script, store, call, fault):
        copy = tmp_path / f"{call.name}-{call.nth}"
        shutil.copytree(store, copy)
        return call, copy, strace(call.name, f"{fault}:when={call.nth}", "-c", script, copy)

    def run(script, store, names, fault, check):
        targets = [call for call in calls(script, store) if call.name in names]
        assert targets, "the dry run made no such call"
        with ThreadPoolExecutor(N_THREADS) as pool:
            cases = list(pool.map(lambda call: case(script, store, call, fault), targets))
        complaints = []
        for (
            call,
            copy,
            done,
        ) in cases:  # not in the threads: forks would inherit locks
            try:
                check(call, copy, done)
            except (AssertionError, StoreError, OSError) as error:
                what = f"{type(error).__name__}: {error} {done.stderr[-300:]}"
                complaints.append(f"{call.line[:150]}: {what}")
        return complaints

    return run


def _leftovers(store):
    return sorted(
        path.name for path in store.rglob("*") if path.suffix in (".building", ".pending")
    )


def _serves_a_sound_snapshot(store):
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
    assert served < _serves_a_sound_snapshot(store) == newest == flips(store)[-1].generation
    assert _leftovers(store) == []
    for generation in generations(store):
        verify(snapshot_folder(store, generation))
    gone = set(range(1, newest)) - set(generations(store))
    kept = [json.loads(path.read_bytes()) for path in (store / "manifests").iterdir()]
    assert {manifest["generation"] for manifest in kept} == gone


def _killed(call, store, done):
    assert done.returncode in (-9, 137), done.returncode
    assert _serves_a_sound_snapshot(store) in ((3,) if call.is_before_flip else (3, 4))
    _next_refresh_cleans_up(store)


@pytest.mark.parametrize("name", CALLS)
def test_a_refresh_killed_at_any_call_leaves_a_sound_store(crashed, inject, name):
    """The old or the new generation is current and sound, and the next refresh cleans up."""
    assert inject(REFRESH, crashed, [name], "signal=SIGKILL", _killed) == []


def _is_optional(call):
    """A copy works without sendfile, and a manifest of a pruned snapshot need not be read."""
    to_prune = call.name == "openat" and not call.is_before_flip and "MANIFEST.json" in call.line
    return call.name == "sendfile" or to_prune


def _is_written_by_the_test(call):
    return "items.ann" in call.line  # the test writes it, as the batch does


@pytest.mark.parametrize(("error", "name"), ERRORS)
def test_a_failing_call_is_an_error_and_leaves_nothing(crashed, inject, error, name):
    """A StoreError with the cause, status 1, no new leftovers, and the next refresh succeeds.

    Up to and including the flip's rename the old generation is current. A call that
    fails after it (the directory's fsync, pruning) is an error too, but the new
    generation is current then, and sound.
    """
    before = set(_leftovers(crashed))

    def failed(call, store, done):
        if done.returncode == 0:
            assert _is_optional(call)
            assert _leftovers(store) == []
        else:
            assert done.returncode == 1
            assert "Traceback" not in done.stderr
            assert MESSAGES[error] in done.stdout
            assert not done.stdout.startswith("bare:") or _is_written_by_the_test(call), done.stdout
        assert set(_leftovers(store)) <= before
        assert _serves_a_sound_snapshot(store) == (3 if call.is_before_flip else 4)
        _next_refresh_cleans_up(store)

    assert inject(REFRESH, crashed, [name], f"error={error}", failed) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_at_any_call_is_done_or_undone(held, inject, command):
    """After the next writer, pin, pointer, journal and takedowns agree."""

    def killed(call, store, done):
        assert done.returncode in (-9, 137), done.returncode
        with open_snapshot(store, current(store)):
            pass
        assert set(takedowns(store)) in ({"item9"}, {"item9", "item1", "a"}, set())
        with writing(store):
            assert flips(store)[-1].generation == current(store)
            held_at = pinned(store)
            assert held_at is None or held_at.generation == current(store)
        take_down(store, ["b"], "the next one")
        assert "b" in takedowns(store)
        assert journal(store)[-1].why == "b: the next one"
        assert _leftovers(store) == []

    store = held if command == "unpin" else _unpinned(held)
    names = {"write", "fsync", "rename", "unlink", *CALLS}
    assert inject(SHORT + COMMANDS[command], store, names, "signal=SIGKILL", killed) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_whose_disk_fails_leaves_nothing_half_written(held, inject, command):
    """A WriteError, and no pending file."""

    def failed(call, store, done):
        assert done.returncode == 1
        assert "store.errors.WriteError" in done.stderr
        assert "check free disk space" in done.stderr
        assert _leftovers(store) == []
        with open_snapshot(store, current(store)), writing(store):
            assert flips(store)[-1].generation == current(store)

    store = held if command == "unpin" else _unpinned(held)
    names = {"write", "fsync", "rename", "unlink"}
    assert inject(SHORT + COMMANDS[command], store, names, "error=EIO", failed) == []


def test_a_refresh_without_a_fault_succeeds(crashed, strace):
    """A fault at a call that is not made changes nothing."""
    done = strace("rename", "signal=SIGKILL:when=1000", "-c", REFRESH, crashed)
    assert done.returncode == 0, done.stderr
    assert _serves_a_sound_snapshot(crashed) == 4
    assert generations(crashed) == [3, 4]
    assert _leftovers(crashed) == []
