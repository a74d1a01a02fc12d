"""Refreshes that are killed at random times, beside a reader that verifies without a pause.

    a process that imports once, and forks ─► a refresh ─► SIGKILL after 0 to 1.3 of its usual time
    a reader: `current`, every checksum and every list, in a loop

More rounds: `STORE_KILL_ROUNDS=5000 .venv/bin/pytest tests/store/test_kill_loop.py`.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from store.check import broken_records
from store.journal import flips
from store.layout import generations, snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.prune import prune
from store.publish import writing
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot
from tests.store.conftest import ROOT

pytestmark = pytest.mark.alone
N_ROUNDS = int(os.environ.get("STORE_KILL_ROUNDS", "300"))
SEED = 17

LISTS = """
def lists(generation):
    return {f"user{n:03d}": [f"item{generation}", f"item{n % 7}x"] for n in range(50)}
"""

REFRESHES = (
    """
import json, os, random, signal, sys, time
from pathlib import Path
from store.journal import journal
from store.layout import generations
from store.prune import prune
from store.publish import writing
from tests.snapshots import make_snapshot
"""
    + LISTS
    + """
def refresh(store):
    known = [*generations(store), *(line.generation for line in journal(store))]
    make_snapshot(store, lists(max(known) + 1), ["a"])
    with writing(store):
        prune(store, keep=3)

def start(store):
    child = os.fork()
    if child:
        return child
    try:
        refresh(store)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)

store, n_rounds = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(int(sys.argv[3]))
make_snapshot(store, lists(1), ["a"])
print("ready", flush=True)
sys.stdin.readline()  # the reader has verified its first snapshot

def usual_seconds():
    began = time.perf_counter()
    for _ in range(5):
        os.waitpid(start(store), 0)
    return (time.perf_counter() - began) / 5

n_killed = n_done = 0
while n_killed < n_rounds:
    if n_killed % 50 == 0:  # other work beside it changes how long a refresh takes
        usual = usual_seconds()
    child = start(store)
    time.sleep(rng.uniform(0, 1.3 * usual))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    n_killed += os.WIFSIGNALED(status)
    n_done += os.WIFEXITED(status)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a refresh failed")
print(json.dumps({"killed": n_killed, "done": n_done}))
"""
)

READER = (
    """
import json, signal, sys
from pathlib import Path
from store.check import broken_records
from store.errors import StoreError
from store.pointer import current
from store.snapshot import open_snapshot
"""
    + LISTS
    + """
def look(store):
    generation = current(store)
    try:
        with open_snapshot(store, generation) as snapshot:
            expected = {u.encode(): ",".join(l).encode() for u, l in lists(generation).items()}
            problems = list(broken_records(snapshot))
            if dict(snapshot.users) != expected:
                problems.append("lists of another generation")
    except StoreError as error:
        if current(store) != generation:  # pruned between the two lines
            return None, []
        problems = [str(error)]
    return generation, problems

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
store, n_looks, seen, wrong = Path(sys.argv[1]), 0, set(), []
while not stop:
    generation, problems = look(store)
    if not n_looks:
        print("reading", flush=True)
    n_looks += generation is not None
    seen.add(generation)
    wrong += problems
print(json.dumps({"looks": n_looks, "seen": len(seen - {None}), "wrong": wrong[:5]}))
"""
)


def _start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.timeout(60 + N_ROUNDS)
def test_a_reader_beside_killed_refreshes_sees_sound_snapshots(store):
    """Whenever a refresh is killed, the current snapshot is sound, and the next refresh works."""
    with _start(REFRESHES, store, N_ROUNDS, SEED) as refreshes:
        assert refreshes.stdout.readline() == "ready\n"
        with _start(READER, store) as reader:
            assert reader.stdout.readline() == "reading\n"
            killed = json.loads(refreshes.communicate("\n")[0])
            reader.send_signal(signal.SIGTERM)
            read = json.loads(reader.communicate()[0])
    print(killed, read)  # noqa: T201 shown by -s
    assert read["wrong"] == []
    assert read["looks"] > N_ROUNDS / 10
    assert read["seen"] > 1
    assert killed["killed"] >= N_ROUNDS
    assert killed["done"] > 0
    _next_writer_recovers(store)


def _next_writer_recovers(store):
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    with writing(store):
        prune(store, keep=3)
    assert [path for path in store.rglob("*") if path.suffix in (".building", ".pending")] == []
    assert flips(store)[-1].generation == current(store)
    for generation in generations(store):
        verify(snapshot_folder(store, generation))
    with open_snapshot(store, current(store)) as snapshot:
        assert list(broken_records(snapshot)) == []
