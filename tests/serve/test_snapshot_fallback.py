"""A snapshot that crashes workers: the server falls back to the previously served generation."""

import contextlib
import http.client
import os
import re
import signal
import time
from pathlib import Path

import pytest

from store.layout import RECS, snapshot_folder
from tests.serve.crashing_snapshots import (
    DAMAGE,
    LISTS,
    POPULAR,
    publish_damaged,
    size_of_a_value,
    sound_snapshot,
)
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

_EVENTS = re.compile(r" (worker \d+) (ended|serves generation (\d+)\n)")

# Clients


def wait_until_followed(server, generation):
    """Return once every worker has opened that generation, and none after it."""

    def is_followed():
        serving = dict[str, str]()
        for worker, event, served in _EVENTS.findall(server.log.read_text()):
            serving.pop(worker, None) if event == "ended" else serving.update({worker: served})
        return list(serving.values()) == [str(generation)] * server.n_workers

    wait_until(is_followed)


def get_once(server, target):
    """Return the answer, None if the worker crashed."""
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        return server.get(target)


def get_until(server, target, generation, seconds=8):
    """Send requests without a pause until that generation answers."""

    def is_answered():
        answer = get_once(server, target)
        return answer and answer.status == 200 and answer.generation == generation and answer

    return wait_until(is_answered, seconds)


def get_with_retries(server, target):
    return wait_until(lambda: get_once(server, target))


def has_static_list(server):
    """Whether the static list is written; its directory is named in nginx's command line."""
    for pid in server.processes():
        found = re.search(rb"/tmp/marquee-\w+", Path(f"/proc/{pid}/cmdline").read_bytes())
        if found and (Path(found[0].decode()) / "static/popular").exists():
            return True
    return False


def metric(server, name):
    text = get_with_retries(server, "/metrics").text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


@pytest.fixture
def published(store):
    """A store whose generation 1 is sound and current."""
    sound_snapshot(store, "alien")
    return store


@pytest.fixture
def server(serve, published):
    running = serve("--workers", "2")
    wait_until(lambda: running.health()["generation"] == 1)
    return running


# Falling back


@DAMAGE
def test_the_server_falls_back_from_a_snapshot_that_crashes_workers(
    server, published, file, damage, target
):
    """Within seconds the previously served generation answers every request again."""
    publish_damaged(published, "brazil", file, damage)
    wait_until_followed(server, 2)

    get_until(server, target, generation=1)

    wait_until_followed(server, 1)
    wait_until(lambda: "generation 2" in server.health()["problem"])
    health = server.health()
    assert health["status"] == "degraded"
    assert "generation 2" in health["problem"]
    for _ in range(50):
        assert server.get(target).generation == 1
        assert server.get("/recommend/user0007").generation == 1
    assert metric(server, "marquee_retreats_total") == 1


@DAMAGE
def test_the_server_stays_with_a_sound_snapshot(server, published, file, damage, target):
    """The counterpart: without the damage the same snapshot stays."""
    sound_snapshot(published, "brazil")
    wait_until_followed(server, 2)

    for _ in range(50):
        assert server.get(target).generation == 2
    assert metric(server, "marquee_retreats_total") == 0
    assert server.health()["status"] == "ok"


@DAMAGE
def test_the_next_sound_snapshot_is_served(server, published, file, damage, target):
    """A blocked generation does not delay its successor."""
    publish_damaged(published, "brazil", file, damage)
    wait_until_followed(server, 2)
    get_until(server, target, generation=1)

    sound_snapshot(published, "casablanca")

    get_until(server, target, generation=3)
    wait_until(lambda: server.health()["status"] == "ok")


def test_two_damaged_snapshots_lead_back_to_the_same_sound_one(server, published):
    """The fallback is the previously served generation, not the previous number."""
    for generation in (2, 3):
        assert publish_damaged(published, "brazil", RECS, size_of_a_value) == generation
        wait_until_followed(server, generation)
        get_until(server, "/recommend/zoe", generation=1)

    assert metric(server, "marquee_retreats_total") == 2


@pytest.mark.parametrize("share", [0.5, 0.1, 0])
def test_the_server_falls_back_from_a_snapshot_truncated_while_served(server, published, share):
    """It was verified before, so the crashes of workers reveal the damage."""
    sound_snapshot(published, "brazil")
    wait_until_followed(server, 2)

    path = snapshot_folder(published, 2) / RECS
    os.truncate(path, int(path.stat().st_size * share))

    for target in ("/recommend/zoe", "/recommend/user0007", "/recommend/user0390"):
        get_until(server, target, generation=1, seconds=15)
    wait_until(lambda: server.health()["generation"] == 1)
    assert metric(server, "marquee_retreats_total") == 1


def test_a_damaged_snapshot_at_the_start_is_replaced_by_one_of_the_journal(serve, published):
    """A supervisor that has served no other finds one in the journal."""
    publish_damaged(published, "brazil", RECS, size_of_a_value)

    server = serve("--workers", "2")

    get_until(server, "/recommend/zoe", generation=1)


@DAMAGE
def test_behind_nginx_no_request_fails(serve, published, file, damage, target):
    """While workers crash, nginx tries another one or answers with the static list."""
    server = serve("--workers", "2", nginx=True)
    wait_until(lambda: server.health()["generation"] == 1)
    wait_until(lambda: has_static_list(server))
    publish_damaged(published, "brazil", file, damage)
    statuses = set()

    def has_fallen_back():
        statuses.add(server.get(target).status)
        return "falling back to the previously served generation" in server.log.read_text()

    wait_until(has_fallen_back)

    get_until(server, target, generation=1)
    assert statuses == {200}


# Without another snapshot


@pytest.fixture
def alone(serve, store):
    """A server whose only snapshot is damaged."""
    publish_damaged(store, "alien", RECS, size_of_a_value)
    running = serve("--workers", "2")
    wait_until(lambda: running.health()["generation"] == 1)
    return running


def test_without_another_snapshot_the_damaged_one_stays(alone):
    """Requests that do not touch the damage are answered all the time."""
    for _ in range(6):
        get_once(alone, "/recommend/zoe")
        assert get_with_retries(alone, "/recommend/user0007").status == 200

    assert alone.process.poll() is None


def test_endless_crashes_are_answered_with_longer_pauses(alone):
    """Continuous requests for the damaged list cause few respawns."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        with contextlib.suppress(TimeoutError), contextlib.closing(alone.dial()) as peer:
            peer.settimeout(0.2)
            peer.sendall(b"GET /recommend/zoe HTTP/1.1\r\nHost: a\r\n\r\n")
            peer.recv(1)

    assert 3 <= alone.log.read_text().count(" ended with ") <= 20


def test_without_another_snapshot_the_next_sound_one_is_served(alone, store):
    """The server recovers without an operator."""
    for _ in range(4):
        get_once(alone, "/recommend/zoe")

    sound_snapshot(store, "brazil")

    get_until(alone, "/recommend/zoe", generation=2, seconds=15)
    wait_until(lambda: alone.health()["status"] == "ok")


# Other reasons of a worker's death


def test_crashes_with_another_cause_lead_back_only_once(serve, published):
    """Where crashes continue in the older generation, that one stays."""
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
        served.append(get_with_retries(server, "/recommend/zoe").generation)

    assert set(served[3:]) == {2}
    assert metric(server, "marquee_retreats_total") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_workers_cause_no_fallback(server, published, number):
    """A kill by hand, or by a kernel short of memory, is not the snapshot's fault."""
    sound_snapshot(published, "brazil")
    wait_until_followed(server, 2)
    for _ in range(4):
        ended = server.wait_for_workers()
        for pid in ended:
            os.kill(pid, number)
        server.wait_for_workers(other_than=ended)

    assert get_until(server, "/recommend/zoe", generation=2).status == 200
    assert metric(server, "marquee_retreats_total") == 0


# Valid checksums, but the snapshot cannot be opened


@pytest.mark.parametrize("table", ["users", "spares", "fallback", "profiles", "items", "rows"])
def test_a_snapshot_that_cannot_be_opened_is_refused(server, published, table, kill_all_workers):
    """A new worker serves the last sound generation, as the old workers do."""
    make_snapshot(published, LISTS, POPULAR, instead={table: None})
    wait_until(lambda: server.health()["status"] == "degraded")

    kill_all_workers(server)

    assert get_until(server, "/recommend/zoe", generation=1).source == "list"
    assert table in server.health()["problem"]
