"""Workers that die or hang, and a supervisor that does."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import time

import pytest

from tests.serve.copied import Code
from tests.serve.running import ask, stand_still, state, wait_until
from tests.snapshots import make_snapshot

LONGER_THAN_A_HANG_SECONDS = 3.3


@pytest.fixture
def server(serve, store):
    """Two workers that serve generation 1."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


@contextlib.contextmanager
def no_fork(pid, report):
    """Let each fork of a process fail; yield once that is in force."""
    calls = "clone,clone3,fork,vfork"
    told = ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EAGAIN", "-o", str(report)]
    with subprocess.Popen(
        ["strace", "-p", str(pid), *told], stderr=subprocess.PIPE, text=True
    ) as tracer:
        if "attached" not in tracer.stderr.readline():
            pytest.skip("strace may not attach to a process here")
        yield
        tracer.terminate()


def ask_stubbornly(server):
    """Ask on new connections until one is not reset."""
    for _ in range(10):
        with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
            return server.get("/recommend/ann")
    raise AssertionError("10 connections were reset, one after the other")


def test_a_killed_worker_is_replaced(server):
    """SIGKILL leaves a place that a new process fills, and the new one serves."""
    killed, kept = server.workers()

    os.kill(killed, signal.SIGKILL)

    [new] = set(server.wait_for_workers(other_than=[killed])) - {kept}
    with server.connect_to(new) as connection:
        wait_until(lambda: ask(connection, "/recommend/ann").body == b"alien")


def test_every_worker_killed_is_replaced(server):
    """Nobody left is no special case."""
    killed = server.workers()

    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    server.wait_for_workers(other_than=killed)
    assert server.get("/recommend/ann").status == 200


def test_all_is_served_while_workers_are_killed(server):
    """A client that tries again after a reset gets the list each time."""
    for _ in range(3):
        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        for _ in range(30):
            assert ask_stubbornly(server).body == b"alien"
        server.wait_for_workers(other_than=[killed])


def test_a_stopped_worker_is_replaced_and_all_is_served_meanwhile(server):
    """Whoever connects after SIGSTOP is answered by the other worker, without a second try."""
    stopped, kept = server.workers()
    stand_still(stopped)

    def is_replaced():
        answer = server.get("/recommend/ann")
        assert (answer.status, answer.body) == (200, b"alien")
        pids = server.workers()
        return len(pids) == 2 and stopped not in pids

    wait_until(is_replaced)

    [new] = set(server.workers()) - {kept}
    server.wait_for_log("hangs and is killed")
    with server.connect_to(new) as connection:
        wait_until(lambda: ask(connection, "/recommend/ann").body == b"alien")


def test_workers_are_not_blamed_when_the_whole_machine_stood_still(server):
    """A paused virtual machine: whoever wakes first finds all the others silent."""
    workers = server.workers()
    everybody = [*workers, server.process.pid]
    for pid in everybody:
        stand_still(pid)
    time.sleep(LONGER_THAN_A_HANG_SECONDS)

    for pid in reversed(everybody):
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda p=pid: state(p) != "T")
        time.sleep(0.3)

    assert server.get("/recommend/ann").body == b"alien"
    assert server.workers() == workers


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace to inject the fault with")
def test_a_fork_that_fails_is_tried_again(server, tmp_path):
    """No process to be had for a moment: the other worker serves, and the place is filled later."""
    report = tmp_path / "strace"
    killed = server.workers()[0]
    with no_fork(server.process.pid, report):
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: "INJECTED" in report.read_text())

    def is_replaced():
        assert server.process.poll() is None, "the supervisor has ended"
        pids = server.workers()
        return len(pids) == 2 and killed not in pids

    wait_until(is_replaced)
    assert server.get("/recommend/ann").body == b"alien"


def test_a_worker_told_to_end_is_replaced(server):
    """SIGTERM to a worker alone makes it drain, and another takes its place."""
    ended = server.workers()[0]

    os.kill(ended, signal.SIGTERM)

    server.wait_for_workers(other_than=[ended])


def test_a_new_worker_is_ready_but_for_the_snapshot(serve, store, tmp_path, kill_all_workers):
    """The app is made once, before the first fork: while it was made, nobody would answer."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = Code(tmp_path / "code")
    code.change(
        "serve/worker/app.py",
        "        self.served: Served | None = None",
        "        import sys; print('an app is made', file=sys.stderr)\n"
        "        self.served: Served | None = None",
    )
    server = serve("--workers", "2", **code.environ)
    server.wait_for_generation(1)

    kill_all_workers(server)

    server.wait_for_generation(1)
    assert server.log.read_text().count("an app is made") == 1


def test_a_new_worker_imports_nothing(serve, store, tmp_path):
    """All modules are there before the fork: each would cost the time in which nobody answers."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = Code(tmp_path / "code")
    code.change(
        "serve/worker/worker.py",
        "        self._place = place",
        "        import sys; self._known = {*sys.modules}\n        self._place = place",
    )
    code.change(
        "serve/worker/worker.py",
        "        self._page.say_ready(self._place)",
        "        import sys; log.info('imports %s', sorted({*sys.modules} - self._known))\n"
        "        self._page.say_ready(self._place)",
    )
    server = serve("--workers", "1", **code.environ)
    server.wait_for_generation(1)

    assert "imports []" in server.log.read_text()


def test_a_replaced_worker_follows_the_next_publish(server, store):
    """A respawned worker is a full member: it swaps with the others."""
    killed = server.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    new = server.wait_for_workers(other_than=killed)

    make_snapshot(store, {"ann": ["diva"]}, ["brazil"])

    for pid in new:
        with server.connect_to(pid) as connection:
            wait_until(lambda c=connection: ask(c, "/recommend/ann").body == b"diva")


def test_workers_end_with_their_supervisor(server):
    """SIGKILL of the supervisor leaves no orphan, not even one with an open connection."""
    with server.connect() as connection:
        ask(connection, "/recommend/ann")

        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()

        wait_until(lambda: not server.processes())


def test_the_port_is_free_after_the_supervisor_was_killed(server, serve):
    """A new server may take the same address at once."""
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not server.processes())

    serve("--port", str(server.port)).wait_for_generation(1)
