"""The open-loop generator counts from the moment when a request was due."""

import os
import shutil
import socketserver
import threading
import time

import pytest

from benchmarks.serving.errors import LoadError
from benchmarks.serving.installed import Installed
from benchmarks.serving.open_loop import compile_open_loop, parse, run_open_loop
from benchmarks.serving.targets import Address, write_targets

CORE = max(os.sched_getaffinity(0))
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na,b"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\na,b"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is installed")


class Server(socketserver.ThreadingTCPServer):
    """Answers every request with the same bytes, one at a time, each after a while."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer, seconds):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.seconds, self.turn = answer, seconds, threading.Lock()
        self.asked = []


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while request := self.request.recv(65536):
            with self.server.turn:
                self.server.asked.append(request.decode())
                time.sleep(self.server.seconds)
                self.request.sendall(self.server.answer)
            if b"close" in self.server.answer:
                return


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_loop")
    return compile_open_loop(folder, Installed(folder, may_install=False))


@pytest.fixture
def ask(program, tmp_path):
    """Ask a server of those answers 100 times a second for a second."""

    def ask(answer, seconds=0.0, **more):
        targets = write_targets(tmp_path / "targets", [f"/recommend/{n}" for n in range(10)])
        with Server(answer, seconds) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = Address(*server.server_address)
            load = {"core": CORE, "rate": 100, "seconds": 1, "seed": 3, **more}
            seen = run_open_loop(program, address, targets, **load)
            server.shutdown()
        return seen, server.asked

    return ask


def test_requests_are_due_at_the_mean_rate_and_answered(ask):
    """About 100 in a second, whole requests with a real client's headers, of all targets."""
    seen, asked = ask(GOOD)
    assert 60 < seen.due < 140
    assert (seen.failed, len(asked)) == (0, seen.due)
    assert 0 < seen.p50_ns <= seen.p99_ns <= seen.p99_9_ns <= seen.max_ns
    assert {request.split()[1] for request in asked} == {f"/recommend/{n}" for n in range(10)}
    assert all("\r\nAccept-Encoding: " in request for request in asked)
    assert all(request.endswith("\r\n\r\n") for request in asked)


def test_waiting_behind_others_counts(ask):
    """20 ms each, one after the other, for 100 a second: the queue grows, and so do the times.

    Counted from when a request is sent, each would take 20 ms.
    """
    seen, _ = ask(GOOD, seconds=0.02, connections=1)
    assert seen.failed == 0
    assert seen.p50_ns > 200_000_000
    assert seen.late > 0


def test_an_answer_that_is_not_200_has_failed(ask):
    """None of them counts as answered."""
    seen, _ = ask(BAD)
    assert seen.failed == seen.due > 0


def test_a_connection_that_the_server_closes_is_dialled_anew(ask):
    """`Connection: close` after each answer is no failure, though the next request is overdue."""
    seen, asked = ask(LAST, seconds=0.02, connections=1)
    assert (seen.failed, len(asked)) == (0, seen.due)


def test_a_server_that_is_not_there_is_said(program, tmp_path):
    """No figures of nothing."""
    targets = write_targets(tmp_path / "targets", ["/recommend/1"])
    nobody = Address("127.0.0.1", 1)
    with pytest.raises(LoadError, match="Connection refused"):
        run_open_loop(program, nobody, targets, core=CORE, rate=10, seconds=1, seed=3)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"due": 3}'])
def test_a_line_without_figures_is_an_error(text):
    """Nothing is guessed."""
    with pytest.raises(LoadError, match="printed no figures"):
        parse(text)
