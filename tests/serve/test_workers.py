"""Workers that die or hang, and a supervisor that dies."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.serve.code_copy import CodeCopy
from tests.serve.server import ask, state, suspend, wait_until
from tests.snapshots import make_snapshot

OLD_HEARTBEAT_SECONDS = 3.3


@pytest.fixture
def server(serve, store):
    """Two workers that serve generation 1."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


@contextlib.contextmanager
def no_fork(pid, report):
    """Make each fork of a process fail; yield once that is in force."""
    calls = "clone,clone3,fork,vfork"
    options = ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EAGAIN", "-o", str(report)]
    with subprocess.Popen(
        ["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True
    ) as tracer:
        assert tracer.stderr is not None
        if "attached" not in tracer.stderr.readline():
            pytest.skip("strace may not attach to a process here")
        yield
        tracer.terminate()


def get_with_retries(server):
    """Send requests on new connections until one is answered."""
    for _ in range(10):
        with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
            return server.get("/recommend/ann")
    raise AssertionError("10 connections were reset, one after the other")


def test_a_killed_worker_is_replaced(server):
    """A new process takes its slot and serves."""
    killed, kept = server.wait_for_workers()

    os.kill(killed, signal.SIGKILL)

    [new] = set(server.wait_for_workers(other_than=[killed])) - {kept}
    with server.connect_to(new) as connection:
        wait_until(lambda: ask(connection, "/recommend/ann").body == b"alien")


def test_all_killed_workers_are_replaced(server):
    """Also if none is left."""
    killed = server.wait_for_workers()

    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    server.wait_for_workers(other_than=killed)
    assert server.get("/recommend/ann").status == 200


def test_requests_are_served_while_workers_are_killed(server):
    """A client that retries after a reset gets the list each time."""
    for _ in range(3):
        killed = server.wait_for_workers()[0]
        os.kill(killed, signal.SIGKILL)
        for _ in range(30):
            assert get_with_retries(server).body == b"alien"
        server.wait_for_workers(other_than=[killed])


def test_a_hung_worker_is_replaced_without_a_failed_request(server):
    """After SIGSTOP the other worker answers without a retry."""
    stopped, kept = server.wait_for_workers()
    suspend(stopped)

    def is_replaced():
        answer = server.get("/recommend/ann")
        assert (answer.status, answer.body) == (200, b"alien")
        pids = server.wait_for_workers()
        return len(pids) == 2 and stopped not in pids

    wait_until(is_replaced)

    [new] = set(server.workers()) - {kept}
    server.wait_for_log("no heartbeat for 3 s; killed")
    with server.connect_to(new) as connection:
        wait_until(lambda: ask(connection, "/recommend/ann").body == b"alien")


def test_workers_survive_a_suspended_machine(server):
    """Their heartbeats are old when the supervisor wakes."""
    workers = server.wait_for_workers()
    processes = [*workers, server.process.pid]
    for pid in processes:
        suspend(pid)
    time.sleep(OLD_HEARTBEAT_SECONDS)

    for pid in reversed(processes):
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda p=pid: state(p) != "T")
        time.sleep(0.3)

    assert server.get("/recommend/ann").body == b"alien"
    assert server.workers() == workers


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace to inject the fault with")
def test_a_failed_fork_is_retried(server, tmp_path):
    """The other worker serves, and the slot is filled later."""
    report = tmp_path / "strace"
    killed = server.wait_for_workers()[0]
    with no_fork(server.process.pid, report):
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: "INJECTED" in report.read_text())

    def is_replaced():
        assert server.process.poll() is None, "the supervisor has ended"
        pids = server.wait_for_workers()
        return len(pids) == 2 and killed not in pids

    wait_until(is_replaced)
    assert server.get("/recommend/ann").body == b"alien"


def test_a_worker_that_drains_is_replaced(server):
    """After SIGTERM to that worker only."""
    ended = server.wait_for_workers()[0]

    os.kill(ended, signal.SIGTERM)

    server.wait_for_workers(other_than=[ended])


def test_the_app_is_made_once_before_the_first_fork(serve, store, tmp_path, kill_all_workers):
    """A new worker does not spend time on it."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = CodeCopy(tmp_path / "code")
    code.change(
        "serve/worker/app.py",
        "    return add_hot_path(",
        "    import sys; print('an app is made', file=sys.stderr)\n    return add_hot_path(",
    )
    server = serve("--workers", "2", **code.environ)
    server.wait_for_generation(1)

    kill_all_workers(server)

    server.wait_for_generation(1)
    assert server.log.read_text().count("an app is made") == 1


def test_a_new_worker_imports_nothing(serve, store, tmp_path):
    """All modules are imported before the fork."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = CodeCopy(tmp_path / "code")
    code.change(
        "serve/worker/worker.py",
        "        self._slot = slot",
        "        import sys; self._known = {*sys.modules}\n        self._slot = slot",
    )
    code.change(
        "serve/worker/worker.py",
        "        self._scoreboard.mark_ready(self._slot)",
        "        import sys; log.info('imports %s', sorted({*sys.modules} - self._known))\n"
        "        self._scoreboard.mark_ready(self._slot)",
    )
    server = serve("--workers", "1", **code.environ)
    server.wait_for_generation(1)

    assert "imports []" in server.log.read_text()


def test_a_respawned_worker_follows_the_next_publish(server, store):
    """Like the others."""
    killed = server.wait_for_workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    new = server.wait_for_workers(other_than=killed)

    make_snapshot(store, {"ann": ["diva"]}, ["brazil"])

    for pid in new:
        with server.connect_to(pid) as connection:
            wait_until(lambda c=connection: ask(c, "/recommend/ann").body == b"diva")


def test_workers_end_with_their_supervisor(server):
    """After its SIGKILL no process is left, not even one with an open connection."""
    with server.connect() as connection:
        ask(connection, "/recommend/ann")

        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()

        wait_until(lambda: not server.processes())


def test_the_port_is_free_after_the_supervisor_was_killed(server, serve):
    """A new server takes the same address at once."""
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not server.processes())

    serve("--port", str(server.port)).wait_for_generation(1)
