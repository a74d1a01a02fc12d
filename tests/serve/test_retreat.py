"""A snapshot whose sums are right and whose pages are not: workers die of it, and it is left."""

import contextlib
import http.client
import os
import re
import signal
import struct
import time
from pathlib import Path

import pytest

from serve.scoreboard import Scoreboard
from serve.supervisor import snapshot_watcher as watch_module
from serve.supervisor.snapshot_watcher import SnapshotWatcher
from store.layout import CHECKSUMS, DATA_FILES, INDEX, MANIFEST, RECS, snapshot_folder
from store.manifest import sha256
from store.publish import publish, writing
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot

PAGE_BYTES = 4096
LISTS = {f"user{number:04d}": ["alien", "brazil"] for number in range(400)}
LONG_LIST = [letter * 200 for letter in "abcdefghijklmno"]  # more than a page: a value of its own
VECTORS = {f"film{row}": [row % 7, row % 5, 1, 2] for row in range(40)}
N_FACTORS = 4
POPULAR = ["casablanca", "diva"]


def sound_snapshot(store, name, *, flip=True):
    """Zoe is the last user, far from any other page of the table."""
    lists = {**LISTS, "zoe": [name, *LONG_LIST]}
    return make_snapshot(store, lists, POPULAR, vectors=VECTORS, flip=flip)


# What is broken, and who notices


def size_of_a_value(recs):
    """Zoe's list claims to have 64 MiB: reading it leaves the file."""
    at = _node(recs, b"zoe", is_long=True)
    struct.pack_into("<HH", recs, at - 4, 0, (64 << 20) >> 16)


def page_of_a_table(recs):
    """The leaf that holds Zoe is zeros: LMDB notices, and gives up the whole transaction."""
    begin = _node(recs, b"zoe", is_long=True) // PAGE_BYTES * PAGE_BYTES
    recs[begin : begin + PAGE_BYTES] = bytes(PAGE_BYTES)


def branches_of_the_index(index):
    """Every branch of every tree leads far behind the end."""
    for at in range(0, len(index), 12 + 4 * N_FACTORS):
        if struct.unpack_from("<i", index, at)[0] > 1:
            struct.pack_into("<ii", index, at + 4, 1 << 28, 1 << 28)


def _node(recs, key, *, is_long):
    """Where a leaf holds `key`, its flags and its length."""
    return recs.index(struct.pack("<HH", int(is_long), len(key)) + key)


HARM = pytest.mark.parametrize(
    ("file", "harm", "target"),
    [
        (RECS, size_of_a_value, "/recommend/zoe"),
        (RECS, page_of_a_table, "/recommend/zoe"),
        (INDEX, branches_of_the_index, "/recommend/nobody?history=film3"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)


def break_it(store, generation, file, harm):
    """Harm a file, and write down its checksum as if it had always been so."""
    folder = snapshot_folder(store, generation)
    content = bytearray((folder / file).read_bytes())
    harm(content)
    (folder / file).write_bytes(content)
    names = sorted((*DATA_FILES, MANIFEST))
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    (folder / CHECKSUMS).write_text("".join(lines))


def flip_to(store, generation):
    with writing(store):
        publish(store, generation, "a test")


# Who asks


def wait_until_followed(server, generation):
    """Return once both workers have opened that generation."""
    followed = f" serves generation {generation}\n"
    wait_until(lambda: server.log.read_text().count(followed) >= server.n_workers)


def ask_once(server, target):
    """The answer, None if the worker died over it."""
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        return server.get(target)


def ask_until(server, target, generation, seconds=8):
    """Ask without a pause until that generation answers."""

    def is_answered():
        answer = ask_once(server, target)
        return answer and answer.status == 200 and answer.generation == generation and answer

    return wait_until(is_answered, seconds)


def ask_stubbornly(server, target):
    return wait_until(lambda: ask_once(server, target))


def has_static_list(server):
    """Whether the front's list of last resort is written; its place stands in nginx's command."""
    for pid in server.processes():
        found = re.search(rb"/tmp/marquee-\w+", Path(f"/proc/{pid}/cmdline").read_bytes())
        if found and (Path(found[0].decode()) / "static/popular").exists():
            return True
    return False


def metric(server, name):
    text = ask_stubbornly(server, "/metrics").text
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


@pytest.fixture
def published(store):
    """Generation 1 is sound and current."""
    sound_snapshot(store, "alien")
    return store


@pytest.fixture
def server(serve, published):
    running = serve("--workers", "2")
    wait_until(lambda: running.health()["generation"] == 1)
    return running


# A bad snapshot is left


@HARM
def test_a_snapshot_that_workers_die_of_is_left(server, published, file, harm, target):
    """Whoever asks for what is broken is answered out of the last good one, within seconds."""
    sound_snapshot(published, "brazil", flip=False)
    break_it(published, 2, file, harm)
    flip_to(published, 2)
    wait_until_followed(server, 2)

    ask_until(server, target, generation=1)

    for _ in range(20):  # whichever worker answers: the other one follows, too
        wait_until(lambda: server.health()["generation"] == 1)
    health = server.health()
    assert health["status"] == "degraded"
    assert "generation 2" in health["problem"]
    for _ in range(50):
        assert server.get(target).generation == 1
        assert server.get("/recommend/user0007").generation == 1
    assert metric(server, "marquee_retreats_total") == 1


@HARM
def test_a_sound_one_is_not(server, published, file, harm, target):
    """The twin: the same without the harm is served and stays."""
    sound_snapshot(published, "brazil")
    wait_until_followed(server, 2)

    for _ in range(50):
        assert server.get(target).generation == 2
    assert metric(server, "marquee_retreats_total") == 0
    assert server.health()["status"] == "ok"


@HARM
def test_the_next_good_one_is_served(server, published, file, harm, target):
    """What was left does not stand in the way of what comes after it."""
    sound_snapshot(published, "brazil", flip=False)
    break_it(published, 2, file, harm)
    flip_to(published, 2)
    wait_until_followed(server, 2)
    ask_until(server, target, generation=1)

    sound_snapshot(published, "casablanca")

    ask_until(server, target, generation=3)
    wait_until(lambda: server.health()["status"] == "ok")


def test_two_bad_ones_lead_back_to_the_same_good_one(server, published):
    """One generation back is the last one that served, not the one before in number."""
    for generation in (2, 3):
        sound_snapshot(published, "brazil", flip=False)
        break_it(published, generation, RECS, size_of_a_value)
        flip_to(published, generation)
        wait_until_followed(server, generation)
        ask_until(server, "/recommend/zoe", generation=1)

    assert metric(server, "marquee_retreats_total") == 2


@pytest.mark.parametrize("share", [0.5, 0.1, 0])
def test_a_snapshot_cut_while_it_is_served_is_left(server, published, share):
    """It was verified and is what it was no longer; the deaths tell."""
    sound_snapshot(published, "brazil")
    wait_until_followed(server, 2)

    path = snapshot_folder(published, 2) / RECS
    os.truncate(path, int(path.stat().st_size * share))

    for target in ("/recommend/zoe", "/recommend/user0007", "/recommend/user0390"):
        ask_until(server, target, generation=1, seconds=15)
    wait_until(lambda: server.health()["generation"] == 1)
    assert metric(server, "marquee_retreats_total") == 1


def test_a_bad_one_at_the_start_is_left_for_one_served_before(serve, published):
    """A supervisor that never served another finds one in the journal."""
    sound_snapshot(published, "brazil", flip=False)
    break_it(published, 2, RECS, size_of_a_value)
    flip_to(published, 2)

    server = serve("--workers", "2")

    ask_until(server, "/recommend/zoe", generation=1)


@HARM
def test_behind_the_front_nobody_notices(serve, published, file, harm, target):
    """While workers die of it, the front asks another or falls back on the static list."""
    server = serve("--workers", "2", front=True)
    wait_until(lambda: server.health()["generation"] == 1)
    wait_until(lambda: has_static_list(server))
    sound_snapshot(published, "brazil", flip=False)
    break_it(published, 2, file, harm)
    flip_to(published, 2)
    statuses = set()

    def is_left():
        statuses.add(server.get(target).status)
        return "generation 2 is left" in server.log.read_text()

    wait_until(is_left)

    ask_until(server, target, generation=1)
    assert statuses == {200}


# Nothing to go back to


@pytest.fixture
def alone(serve, store):
    """A server whose one snapshot is bad."""
    sound_snapshot(store, "alien", flip=False)
    break_it(store, 1, RECS, size_of_a_value)
    flip_to(store, 1)
    running = serve("--workers", "2")
    wait_until(lambda: running.health()["generation"] == 1)
    return running


def test_without_another_it_goes_on_with_the_bad_one(alone):
    """Who does not ask for what is broken is answered all the time."""
    for _ in range(6):
        ask_once(alone, "/recommend/zoe")
        assert ask_stubbornly(alone, "/recommend/user0007").status == 200

    assert alone.process.poll() is None


def test_deaths_without_end_are_answered_ever_more_slowly(alone):
    """Somebody asks for what is broken all the time, and the pauses grow."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        with contextlib.suppress(TimeoutError), contextlib.closing(alone.dial()) as peer:
            peer.settimeout(0.2)
            peer.sendall(b"GET /recommend/zoe HTTP/1.1\r\nHost: a\r\n\r\n")
            peer.recv(1)

    assert 3 <= alone.log.read_text().count(" ended with ") <= 20


def test_without_another_the_next_good_one_is_served(alone, store):
    """Then all is well again, with no hand laid on the server."""
    for _ in range(4):
        ask_once(alone, "/recommend/zoe")

    sound_snapshot(store, "brazil")

    ask_until(alone, "/recommend/zoe", generation=2, seconds=15)
    wait_until(lambda: alone.health()["status"] == "ok")


# Deaths that are not the snapshot's fault


def test_kills_from_outside_lead_back_once_at_most(serve, published):
    """Deaths that go on in an older generation have another reason: it stays there."""
    for name in ("brazil", "casablanca"):
        sound_snapshot(published, name)
    server = serve("--workers", "2")
    wait_until(lambda: server.health()["generation"] == 3)
    served = []
    for _ in range(6):
        killed = server.wait_for_workers()
        for pid in killed:
            os.kill(pid, signal.SIGSEGV)
        server.wait_for_workers(other_than=killed)
        served.append(ask_stubbornly(server, "/recommend/zoe").generation)

    assert set(served[3:]) == {2}
    assert metric(server, "marquee_retreats_total") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_are_told_to_end_lead_nowhere(server, published, number):
    """Whoever kills workers by hand, or the kernel short of memory, blames no snapshot."""
    sound_snapshot(published, "brazil")
    wait_until_followed(server, 2)
    for _ in range(4):
        ended = server.wait_for_workers()
        for pid in ended:
            os.kill(pid, number)
        server.wait_for_workers(other_than=ended)

    assert ask_until(server, "/recommend/zoe", generation=2).status == 200
    assert metric(server, "marquee_retreats_total") == 0


# Sums that are right, and a snapshot that does not open


@pytest.mark.parametrize("table", ["users", "spares", "fallback", "profiles", "items", "rows"])
def test_a_snapshot_that_cannot_be_opened_is_refused(server, published, table, kill_all_workers):
    """A worker that starts anew serves the last good one, as those do that never left it."""
    make_snapshot(published, LISTS, POPULAR, instead={table: None})
    wait_until(lambda: server.health()["status"] == "degraded")

    kill_all_workers(server)

    assert ask_until(server, "/recommend/zoe", generation=1).source == "list"
    assert table in server.health()["problem"]


# The watch, without workers


class Watched:
    """A watch over a store, whose verifications are awaited."""

    def __init__(self, store):
        self.page = Scoreboard(2)
        self.watch = SnapshotWatcher(store, self.page)
        self.settle()

    def settle(self):
        """Let it look until it has nothing to verify."""
        self.watch.look()
        while self.watch.is_verifying:
            self.reap()
            self.watch.look()

    def reap(self):
        pid, status = os.wait()
        assert self.watch.ended(pid, os.waitstatus_to_exitcode(status))

    def crash(self, n_times=1):
        for _ in range(n_times):
            self.watch.crashed()


@pytest.fixture
def watched(published, monkeypatch):
    """Generation 2 is served, 1 was before; every crash is a reason to verify."""
    monkeypatch.setattr(watch_module, "_VERIFY_AGAIN_SECONDS", -1.0)
    watched = Watched(published)
    sound_snapshot(published, "brazil")
    watched.settle()
    assert watched.page.generation == 2
    return watched


def test_one_crash_is_no_reason_to_retreat(watched):
    """The snapshot is verified once more, is sound, and stays."""
    watched.crash()
    watched.watch.look()
    assert watched.watch.is_verifying
    watched.settle()

    assert watched.page.generation == 2
    assert watched.page.supervised()["retreats"] == 0


def test_one_crash_of_a_cut_snapshot_is_enough(watched, published):
    """The verification after the first death finds out."""
    os.truncate(snapshot_folder(published, 2) / RECS, PAGE_BYTES)
    watched.crash()
    watched.settle()

    assert watched.page.generation == 1
    assert watched.page.supervised()["retreats"] == 1


def test_a_crash_soon_after_a_verification_is_looked_into_later(watched, published, monkeypatch):
    """No verification follows the last within seconds, but none is forgotten."""
    os.truncate(snapshot_folder(published, 2) / RECS, PAGE_BYTES)
    monkeypatch.setattr(watch_module, "_VERIFY_AGAIN_SECONDS", 3600.0)
    watched.crash()
    watched.settle()
    assert watched.page.generation == 2

    monkeypatch.setattr(watch_module, "_VERIFY_AGAIN_SECONDS", -1.0)
    watched.settle()
    assert watched.page.generation == 1


def test_a_verification_that_ends_too_late_brings_nothing_back(watched):
    """Workers died of it meanwhile; that its sums are right is no longer the question."""
    watched.crash()
    watched.watch.look()
    assert watched.watch.is_verifying
    watched.crash(2)
    assert watched.page.generation == 1
    seen = set()
    while watched.watch.is_verifying:
        watched.reap()
        seen.add(watched.page.generation)
        watched.watch.look()

    assert seen == {1}


def test_the_one_before_may_have_been_pruned(watched, published):
    """Then the newest of those that were once current is verified and served."""
    sound_snapshot(published, "casablanca")
    watched.settle()
    snapshot_folder(published, 2).rename(published / "gone")
    watched.crash(3)
    watched.settle()

    assert watched.page.generation == 1


def test_a_retreat_holds_until_something_newer_is_published(watched, published):
    """Looking again and again at a `CURRENT` that names the bad one changes nothing."""
    watched.crash(3)
    for _ in range(5):
        watched.settle()
        watched.crash(3)
    assert watched.page.generation == 1
    assert watched.page.supervised()["retreats"] == 1

    sound_snapshot(published, "casablanca")
    watched.settle()
    assert watched.page.generation == 3
    assert watched.page.problem == ""
