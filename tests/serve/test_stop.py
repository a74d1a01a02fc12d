"""SIGTERM: the server drains, ends soon, and leaves nothing behind."""

import contextlib
import http.client
import os
import signal
import time

import pytest

from tests.serve.code_copy import CodeCopy
from tests.serve.server import ask, suspend
from tests.snapshots import make_snapshot

MAX_STOP_SECONDS = 4


@pytest.fixture
def server(serve, store):
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


def end(server, number=signal.SIGTERM):
    """Send a signal to the supervisor; return its exit status and the seconds until then."""
    began_at = time.monotonic()
    server.process.send_signal(number)
    return server.process.wait(30), time.monotonic() - began_at


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_the_server_ends_with_0_and_leaves_no_process(server, number):
    """The workers have ended before the supervisor."""
    status, seconds = end(server, number)

    assert (status, server.processes()) == (0, [])
    assert seconds < MAX_STOP_SECONDS


def test_idle_connections_do_not_delay_the_end(server):
    """Keep-alive connections to every worker are closed."""
    first, second = server.wait_for_workers()
    with server.connect_to(first) as one, server.connect_to(second) as two:
        status, seconds = end(server)

        assert (status, server.processes()) == (0, [])
        assert seconds < MAX_STOP_SECONDS
        assert [opened.sock.recv(1) for opened in (one, two)] == [b"", b""]


def test_a_connection_without_a_request_does_not_delay_the_end(server):
    """It is closed as well."""
    with server.dial():
        status, seconds = end(server)

    assert (status, server.processes()) == (0, [])
    assert seconds < MAX_STOP_SECONDS


def test_half_a_request_does_not_delay_the_end(server):
    """The rest of it is not waited for."""
    with server.dial() as peer:
        peer.sendall(b"GET /recommend/ann HTTP/1.1\r\nHost:")
        status, seconds = end(server)

    assert (status, server.processes()) == (0, [])
    assert seconds < MAX_STOP_SECONDS


def test_a_pending_request_is_still_answered(server):
    """It was in the worker's socket when SIGTERM came."""
    worker = server.wait_for_workers()[0]
    with server.connect_to(worker) as connection:
        suspend(worker)
        connection.request("GET", "/recommend/ann")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("stopping")
        os.kill(worker, signal.SIGCONT)

        assert connection.getresponse().read() == b"alien"

    assert server.process.wait(30) == 0


def test_sigterm_before_the_loop_runs_ends_the_worker(serve, store, tmp_path):
    """In the moment before bjoern handles signals."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = CodeCopy(tmp_path / "code")
    code.change(
        "serve/worker/worker.py",
        "        bjoern.server_run(",
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(10 * _SHUT_EVERY_SECONDS)\n"
        "        bjoern.server_run(",
    )
    began_at = time.monotonic()

    serve("--workers", "1", **code.environ).wait_for_log("worker 0 ended with 0")

    assert time.monotonic() - began_at < MAX_STOP_SECONDS


def test_continuous_requests_do_not_delay_the_end(server):
    """Each one is answered, or its connection is closed."""
    with server.connect() as connection:
        ask(connection, "/recommend/ann")
        server.process.send_signal(signal.SIGTERM)
        began_at = time.monotonic()
        with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
            while time.monotonic() - began_at < 2 * MAX_STOP_SECONDS:
                assert ask(connection, "/recommend/ann").body == b"alien"

    assert server.process.wait(30) == 0
    assert time.monotonic() - began_at < MAX_STOP_SECONDS


def test_a_hung_worker_is_killed_in_the_end(server):
    """It cannot react to SIGTERM; the exit status is still 0."""
    suspend(server.wait_for_workers()[0])

    status, _ = end(server)

    assert status == 0


def test_a_server_without_a_snapshot_ends_as_well(serve):
    """The exit status is 0."""
    server = serve("--workers", "2")
    server.get("/healthz")

    assert end(server)[0] == 0
