"""SIGTERM: the server ends by itself, soon, and leaves nothing behind."""

import contextlib
import http.client
import os
import signal
import time

import pytest

from tests.serve.copied import Code
from tests.serve.running import ask, stand_still
from tests.snapshots import make_snapshot

SOON_SECONDS = 4


@pytest.fixture
def server(serve, store):
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


def end(server, number=signal.SIGTERM):
    """Send a signal to the supervisor; return its exit status and how long it took."""
    began_at = time.monotonic()
    server.process.send_signal(number)
    return server.process.wait(30), time.monotonic() - began_at


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_it_ends_with_0_and_leaves_no_process(server, number):
    """When the supervisor has ended, so have the workers."""
    status, seconds = end(server, number)

    assert (status, server.processes()) == (0, [])
    assert seconds < SOON_SECONDS


def test_idle_connections_do_not_hold_it_up(server):
    """Keep-alive connections that ask nothing, to every worker, are closed."""
    first, second = server.workers()
    with server.connect_to(first) as one, server.connect_to(second) as two:
        status, seconds = end(server)

        assert (status, server.processes()) == (0, [])
        assert seconds < SOON_SECONDS
        assert [opened.sock.recv(1) for opened in (one, two)] == [b"", b""]


def test_a_connection_that_never_asked_does_not_hold_it_up(server):
    """Nor does one that was opened and said nothing."""
    with server.dial():
        status, seconds = end(server)

    assert (status, server.processes()) == (0, [])
    assert seconds < SOON_SECONDS


def test_half_a_request_does_not_hold_it_up(server):
    """A client that stopped in the middle of its request is not waited for."""
    with server.dial() as peer:
        peer.sendall(b"GET /recommend/ann HTTP/1.1\r\nHost:")
        status, seconds = end(server)

    assert (status, server.processes()) == (0, [])
    assert seconds < SOON_SECONDS


def test_what_was_asked_before_is_still_answered(server):
    """A request that lay in the worker's socket when SIGTERM came gets its list."""
    worker = server.workers()[0]
    with server.connect_to(worker) as connection:
        stand_still(worker)
        connection.request("GET", "/recommend/ann")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("stopping")
        os.kill(worker, signal.SIGCONT)

        assert connection.getresponse().read() == b"alien"

    assert server.process.wait(30) == 0


def test_a_worker_told_to_end_before_its_loop_runs_ends_soon(serve, store, tmp_path):
    """SIGTERM in the moment before bjoern listens for signals is heard all the same."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = Code(tmp_path / "code")
    code.change(
        "serve/worker/worker.py",
        "        bjoern.server_run(",
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(10 * _SHUT_EVERY_SECONDS)\n"
        "        bjoern.server_run(",
    )
    began_at = time.monotonic()

    serve("--workers", "1", **code.environ).wait_for_log("worker 0 ended with 0")

    assert time.monotonic() - began_at < SOON_SECONDS


def test_it_ends_while_requests_go_on(server):
    """A client that asks without a pause is answered or cut off; it does not keep the server."""
    with server.connect() as connection:
        ask(connection, "/recommend/ann")
        server.process.send_signal(signal.SIGTERM)
        began_at = time.monotonic()
        with contextlib.suppress(ConnectionError, http.client.BadStatusLine):
            while time.monotonic() - began_at < 2 * SOON_SECONDS:
                assert ask(connection, "/recommend/ann").body == b"alien"

    assert server.process.wait(30) == 0
    assert time.monotonic() - began_at < SOON_SECONDS


def test_a_stopped_worker_does_not_keep_it_for_ever(server):
    """A worker that cannot hear SIGTERM is killed in the end, and the exit status is still 0."""
    stand_still(server.workers()[0])

    status, _ = end(server)

    assert status == 0


def test_an_empty_store_ends_as_well(serve):
    """Having nothing to serve changes nothing about stopping."""
    server = serve("--workers", "2")
    server.get("/healthz")

    assert end(server)[0] == 0
