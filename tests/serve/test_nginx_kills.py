"""Workers or nginx die or hang under load: no request fails."""

import os
import signal

import pytest

from benchmarks.harness.processes import processes_of
from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from serve.supervisor.probe import Probe
from tests.serve.code_copy import CodeCopy
from tests.serve.nginx_parts import nginx_pids, runtime_dir, static_list
from tests.serve.server import suspend, wait_until
from tests.snapshots import make_snapshot

N_USERS = 300
N_KILLS = 6


@pytest.fixture
def server(serve, store):
    """Two workers behind nginx, with lists that `Load` can check."""
    write_snapshot(store, N_USERS)
    return ready(serve("--workers", "2", nginx=True))


@pytest.fixture
def load(server, tmp_path):
    """200 requests a second on 16 connections, each answer checked."""
    return Load((server.host, server.port), N_USERS, tmp_path, rate=200)


def ready(server):
    """Return the server once it answers and its static list is written."""
    wait_until(lambda: static_list(server))
    wait_until(lambda: server.get("/recommend/1").source == "list")
    server.wait_for_workers()
    return server


def assert_no_failed_request(seen):
    assert seen.n_answers > 0
    assert (seen.n_failed, seen.n_refused, seen.n_mixed) == (0, 0, 0), seen.examples


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_no_request_fails_when_a_worker_dies(server, load, number):
    """One after the other, each as soon as the last one is replaced."""
    with load:
        for n in range(N_KILLS):
            pids = server.wait_for_workers()
            os.kill(pids[n % 2], number)
            server.wait_for_workers(other_than=[pids[n % 2]])

    assert_no_failed_request(load.seen)


def test_no_request_fails_when_all_workers_die(server, load, kill_all_workers):
    """Requests wait for the next worker, or get the static list."""
    with load:
        for _ in range(N_KILLS):
            kill_all_workers(server)

    assert_no_failed_request(load.seen)


def test_no_request_fails_when_a_worker_hangs(server, load):
    """nginx tries another worker, and the supervisor replaces the hung one."""
    stopped = server.wait_for_workers()[0]
    with load:
        suspend(stopped)
        server.wait_for_workers(other_than=[stopped])

    assert_no_failed_request(load.seen)
    server.wait_for_log("no heartbeat for 3 s; killed")


def test_hung_workers_are_all_replaced(server, load):
    """Meanwhile the static list is served."""
    stopped = server.wait_for_workers()
    with load:
        for pid in stopped:
            suspend(pid)
        server.wait_for_workers(other_than=stopped)

    assert_no_failed_request(load.seen)
    assert load.seen.sources["static"] > 0


def test_a_worker_in_an_endless_loop_is_replaced(serve, store, tmp_path):
    """Its signal handlers still run, so they are not taken for a heartbeat."""
    write_snapshot(store, N_USERS)
    code = CodeCopy(tmp_path / "code")
    code.change(
        "serve/resources/status.py",
        'resp.media = {"status": "ready"',
        'while warnings is not None: pass\n        resp.media = {"status": "ready"',
    )
    server = ready(serve("--workers", "2", nginx=True, **code.environ))
    server.wait_for_workers()
    spinning = server.list_workers()

    server.get("/readyz")  # nginx tries a second time, so both workers loop

    server.wait_for_workers(other_than=spinning)
    server.wait_for_log("no heartbeat for 3 s; killed")
    wait_until(lambda: server.get("/recommend/1").source == "list")


def test_a_request_beyond_the_memory_limit_fails_alone(serve, store, tmp_path):
    """It gets 500, and the worker continues."""
    make_snapshot(store, {"1": ["alien"]}, ["brazil"])
    code = CodeCopy(tmp_path / "code")
    code.change(
        "serve/resources/status.py",
        'resp.media = {"status": "ready"',
        'hog = bytearray(1 << 30)\n        resp.media = {"status": "ready"',
    )
    server = ready(serve("--workers", "2", nginx=True, **code.environ))
    before = server.wait_for_workers()

    answer = server.get("/readyz")

    assert answer.status == 500
    assert b"Error" not in answer.body.replace(b"Internal Server Error", b"")
    assert server.workers() == before
    assert server.get("/recommend/1").source == "list"


def test_a_killed_nginx_is_replaced(server):
    """Another master takes over the port, and the old workers end."""
    [master], old = nginx_pids(server)

    os.kill(master, signal.SIGKILL)

    def is_replaced():
        masters, workers = nginx_pids(server)
        return masters and masters != [master] and workers and not set(workers) & set(old)

    wait_until(is_replaced)
    assert server.get("/recommend/1").source == "list"
    wait_until(lambda: not {one.pid for one in processes_of(server.process.pid)} & set(old))


def test_a_killed_nginx_worker_is_replaced(server):
    """By its master; clients are served."""
    _, [killed, *_] = nginx_pids(server)

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: nginx_pids(server)[1] and killed not in nginx_pids(server)[1])
    assert server.get("/recommend/1").source == "list"


def test_nothing_is_left_after_sigterm(server):
    """No process, and no runtime directory."""
    folder = runtime_dir(server)
    assert folder.is_dir()

    server.process.terminate()

    assert server.process.wait(20) == 0
    assert (server.processes(), folder.exists()) == ([], False)


def test_no_process_is_left_after_sigkill(server):
    """Without its supervisor every process ends, nginx included."""
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    wait_until(lambda: not server.processes())


def test_an_nginx_that_hangs_is_replaced(server):
    """Master and workers are stopped, not dead; requests that wait are answered."""
    masters, workers = nginx_pids(server)
    for pid in (*masters, *workers):
        suspend(pid)
    with server.connect() as waiting:
        waiting.request("GET", "/recommend/1")
        server.wait_for_log("nginx: no sign of life")
        assert wait_until(lambda: nginx_pids(server)[0] not in ([], masters))
        assert waiting.getresponse().status == 200

    assert not {*masters, *workers} & {*server.processes()}


def test_an_nginx_that_works_is_not_replaced(server):
    """The counterpart: the probe is answered, also once it would have given up."""
    masters, _ = nginx_pids(server)
    probe = Probe(runtime_dir(server) / "static.sock", every_seconds=0.01, max_silent_seconds=0.5)
    for _ in range(3):
        probe.has_answered = False

        def has_answered():
            assert not probe.is_hung()
            return probe.has_answered

        wait_until(has_answered)

    assert nginx_pids(server)[0] == masters
