"""The open-loop generator times requests from the moment when they were due."""

import os
import shutil
import socketserver
import threading
import time

import pytest

from benchmarks.harness.errors import LoadError
from benchmarks.harness.servers import Address
from benchmarks.serving.installed import Installed
from benchmarks.serving.open_loop import (
    CONNECTIONS,
    OpenLoop,
    compile_open_loop,
    parse,
    run_open_loop,
)
from benchmarks.serving.targets import write_targets

CORE = max(os.sched_getaffinity(0))
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na,b"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\na,b"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is installed")


class Server(socketserver.ThreadingTCPServer):
    """Answers every request with the same bytes, one at a time, each after a delay."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer, seconds):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.seconds, self.lock = answer, seconds, threading.Lock()
        self.requests: list[str] = []


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        server = self.server
        assert isinstance(server, Server)
        while request := self.request.recv(65536):
            with server.lock:
                server.requests.append(request.decode())
                time.sleep(server.seconds)
                self.request.sendall(server.answer)
            if b"close" in server.answer:
                return


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_loop")
    return compile_open_loop(folder, Installed(folder, may_install=False))


@pytest.fixture
def run(program, tmp_path):
    """Send requests to a server with one answer, 100 per second for a second."""

    def run(answer, seconds=0.0, connections=CONNECTIONS):
        targets = write_targets(tmp_path / "targets", [f"/recommend/{n}" for n in range(10)])
        with Server(answer, seconds) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = Address(*server.server_address)
            options = OpenLoop(CORE, rate=100, seconds=1, seed=3, connections=connections)
            seen = run_open_loop(program, address, targets, options)
            server.shutdown()
        return seen, server.requests

    return run


def test_requests_are_due_at_the_mean_rate_and_answered(run):
    """About 100 per second, complete requests with a real client's headers, of all targets."""
    seen, requests = run(GOOD)
    assert 60 < seen.due < 140
    assert (seen.failed, len(requests)) == (0, seen.due)
    assert 0 < seen.p50_ns <= seen.p99_ns <= seen.p99_9_ns <= seen.max_ns
    assert {request.split()[1] for request in requests} == {f"/recommend/{n}" for n in range(10)}
    assert all("\r\nAccept-Encoding: " in request for request in requests)
    assert all(request.endswith("\r\n\r\n") for request in requests)


def test_waiting_in_a_queue_counts(run):
    """Answers of 20 ms, one after the other, at 100 per second: queue and times grow.

    Timed from when a request is sent, each would take 20 ms.
    """
    seen, _ = run(GOOD, seconds=0.02, connections=1)
    assert seen.failed == 0
    assert seen.p50_ns > 200_000_000
    assert seen.late > 0


def test_an_answer_that_is_not_200_has_failed(run):
    """Every request counts as failed."""
    seen, _ = run(BAD)
    assert seen.failed == seen.due > 0


def test_a_closed_connection_is_opened_again(run):
    """`Connection: close` after an answer does not fail the next request, even an overdue one."""
    seen, requests = run(LAST, seconds=0.02, connections=1)
    assert (seen.failed, len(requests)) == (0, seen.due)


def test_a_missing_server_is_an_error(program, tmp_path):
    """A refused connection gives no figures."""
    targets = write_targets(tmp_path / "targets", ["/recommend/1"])
    options = OpenLoop(CORE, rate=10, seconds=1, seed=3)
    with pytest.raises(LoadError, match="Connection refused"):
        run_open_loop(program, Address("127.0.0.1", 1), targets, options)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"due": 3}'])
def test_a_line_without_figures_is_an_error(text):
    """Incomplete output is an error."""
    with pytest.raises(LoadError, match="printed no figures"):
        parse(text)
