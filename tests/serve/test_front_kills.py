"""Whatever dies behind the front, or of it: clients get their lists."""

import os
import signal

import pytest

from benchmarks.harness.processes import processes_of
from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from tests.serve.copied import Code, front_folder, nginx, static_list
from tests.serve.running import stand_still, wait_until
from tests.snapshots import make_snapshot

N_USERS = 300
N_KILLS = 6


@pytest.fixture
def server(serve, store):
    """Two workers behind nginx, and lists that a load can judge."""
    write_snapshot(store, N_USERS)
    return ready(serve("--workers", "2", front=True))


@pytest.fixture
def load(server, tmp_path):
    """200 requests a second on 16 connections, each answer judged."""
    return Load((server.host, server.port), N_USERS, tmp_path, rate=200)


def ready(server):
    """Return the server once it answers and could answer without any worker."""
    wait_until(lambda: static_list(server))
    wait_until(lambda: server.get("/recommend/1").source == "list")
    server.wait_for_workers()
    return server


def assert_nobody_noticed(seen):
    assert seen.n_answers > 0
    assert (seen.n_failed, seen.n_refused, seen.n_mixed) == (0, 0, 0), seen.examples


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_nobody_notices_that_a_worker_dies(server, load, number):
    """One after the other, each as soon as the last one is replaced."""
    with load:
        for n in range(N_KILLS):
            pids = server.wait_for_workers()
            os.kill(pids[n % 2], number)
            server.wait_for_workers(other_than=[pids[n % 2]])

    assert_nobody_noticed(load.seen)


def test_nobody_notices_that_all_workers_die_at_once(server, load, kill_all_workers):
    """Who comes in that moment waits for the next worker, or gets the list for everybody."""
    with load:
        for _ in range(N_KILLS):
            kill_all_workers(server)

    assert_nobody_noticed(load.seen)


def test_nobody_notices_that_a_worker_hangs(server, load):
    """Stopped, it is given up for another at each request, and replaced."""
    stopped = server.workers()[0]
    with load:
        stand_still(stopped)
        server.wait_for_workers(other_than=[stopped])

    assert_nobody_noticed(load.seen)
    server.wait_for_log("hangs and is killed")


def test_all_workers_hanging_are_replaced(server, load):
    """Meanwhile everybody gets the static list."""
    stopped = server.workers()
    with load:
        for pid in stopped:
            stand_still(pid)
        server.wait_for_workers(other_than=stopped)

    assert_nobody_noticed(load.seen)
    assert load.seen.sources["static"] > 0


def test_a_worker_in_an_endless_loop_is_replaced(serve, store, tmp_path):
    """Python code that never returns still runs handlers of signals: no proof of life."""
    write_snapshot(store, N_USERS)
    code = Code(tmp_path / "code")
    code.change(
        "serve/resources/status.py",
        'resp.media = {"status": "ready"',
        'while warnings is not None: pass\n        resp.media = {"status": "ready"',
    )
    server = ready(serve("--workers", "2", front=True, **code.environ))
    spinning = server.workers()

    server.get("/readyz")  # and the front's second try: both workers

    server.wait_for_workers(other_than=spinning)
    server.wait_for_log("hangs and is killed")
    wait_until(lambda: server.get("/recommend/1").source == "list")


def test_a_worker_that_takes_too_much_memory_fails_alone(serve, store, tmp_path):
    """What it wanted is refused, the request fails, and it goes on; so do the others."""
    make_snapshot(store, {"1": ["alien"]}, ["brazil"])
    code = Code(tmp_path / "code")
    code.change(
        "serve/resources/status.py",
        'resp.media = {"status": "ready"',
        'hog = bytearray(1 << 30)\n        resp.media = {"status": "ready"',
    )
    server = ready(serve("--workers", "2", front=True, **code.environ))
    before = server.workers()

    answer = server.get("/readyz")

    assert answer.status == 500
    assert b"Error" not in answer.body.replace(b"Internal Server Error", b"")
    assert server.workers() == before
    assert server.get("/recommend/1").source == "list"


def test_a_dead_front_is_replaced(server):
    """SIGKILL of nginx's master: another one takes the port over, its workers go."""
    [master], old = nginx(server)

    os.kill(master, signal.SIGKILL)

    def is_replaced():
        masters, workers = nginx(server)
        return masters and masters != [master] and workers and not set(workers) & set(old)

    wait_until(is_replaced)
    assert server.get("/recommend/1").source == "list"
    wait_until(lambda: not {one.pid for one in processes_of(server.process.pid)} & set(old))


def test_a_dead_worker_of_the_front_is_replaced(server):
    """By its master; whoever connects is served."""
    _, [killed, *_] = nginx(server)

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: nginx(server)[1] and killed not in nginx(server)[1])
    assert server.get("/recommend/1").source == "list"


def test_nothing_is_left_after_sigterm(server):
    """No process, and not the front's directory."""
    folder = front_folder(server)
    assert folder.is_dir()

    server.process.terminate()

    assert server.process.wait(20) == 0
    assert (server.processes(), folder.exists()) == ([], False)


def test_no_process_is_left_after_sigkill(server):
    """Supervisor gone, everybody gone: the front and its workers, too."""
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    wait_until(lambda: not server.processes())
