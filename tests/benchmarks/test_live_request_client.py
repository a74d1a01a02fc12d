"""The request client reports the answer or the failure of every kind of server."""

import contextlib
import socket
import threading
import time

import pytest

from benchmarks.simulator.live.requests.client import RequestClient
from benchmarks.simulator.live.requests.messages import (
    CUT,
    LIMIT_MS,
    REFUSED,
    TIMED_OUT,
    Address,
    Response,
    Window,
)

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Marquee-Source: list\r\n\r\na+1,b+2"


class Server:
    """A server that runs a function for each connection and counts connections and requests."""

    def __init__(self, serve):
        self.n_connections, self.received = 0, []
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = Address("127.0.0.1", self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.n_connections += 1
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        # the client disconnects after a time-out, which a busy machine may cause
        with connection, contextlib.suppress(ConnectionError):
            self._serve(self, connection)

    def requests(self, connection):
        """Yield each request of a connection."""
        while got := connection.recv(65536):
            self.received.append(got)
            yield got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def valid(server, connection):
    for _ in server.requests(connection):
        connection.sendall(GOOD)


def silent(server, connection):
    for _ in server.requests(connection):
        time.sleep(1.2 * LIMIT_MS / 1000)


def partial(server, connection):
    for _ in server.requests(connection):
        connection.sendall(GOOD[:-3])
        return


def without_answer(server, connection):
    for _ in server.requests(connection):
        return


def no_http(server, connection):
    for _ in server.requests(connection):
        connection.sendall(b"220 mail.example ESMTP\r\n")


def in_pieces(server, connection):
    for _ in server.requests(connection):
        for begin in range(0, len(GOOD), 20):
            connection.sendall(GOOD[begin : begin + 20])
            time.sleep(0.001)


def one_answer(server, connection):
    """Announce a kept connection, and close it after one answer."""
    for _ in server.requests(connection):
        connection.sendall(GOOD)
        return


def request_all(addresses, n=1, n_windows=1, gap=0.02, *, keep_alive=True):
    """Send n requests in each of some windows, and return all responses in order."""
    with RequestClient(addresses, keep_alive=keep_alive) as client:
        begin = time.monotonic() + 0.05
        for number in range(n_windows):
            due = [begin + gap * (number * n + user) for user in range(n)]
            servers = [user % len(addresses) for user in range(n)]
            client.send(Window(number, due, servers, [b"%d" % user for user in range(n)]))
        windows: dict[int, list[Response]] = {}
        while len(windows) < n_windows:
            complete = client.receive(5)
            assert complete is not None
            windows[complete[0]] = complete[1]
    return [response for number in range(n_windows) for response in windows[number]]


@pytest.mark.parametrize("serve", [valid, in_pieces, one_answer], ids=lambda f: f.__name__)
def test_a_good_answer_is_complete(serve):
    """In any pieces; a request on a kept connection that was closed is repeated."""
    with Server(serve) as server:
        answers = request_all([server.address], 5)
    assert [(one.error, one.status, one.body, one.source) for one in answers] == [
        ("", 200, b"a+1,b+2", "list")
    ] * 5
    assert all(0 <= one.late_ms <= one.milliseconds < LIMIT_MS for one in answers)


@pytest.mark.parametrize(
    ("serve", "error"),
    [(silent, TIMED_OUT), (partial, CUT), (without_answer, CUT), (no_http, CUT)],
    ids=["silent", "half", "closing", "no-http"],
)
def test_each_failure_has_its_error(serve, error):
    """No request takes longer than the limit, and the error names the failure."""
    with Server(serve) as server:
        answers = request_all([server.address], 3)
    assert [one.error.partition(":")[0] for one in answers] == [error] * 3
    assert {one.status for one in answers} == {0}
    if error == TIMED_OUT:
        assert min(one.milliseconds for one in answers) >= LIMIT_MS


def test_a_closed_port_is_reported_as_refused():
    """No process listens on the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    (answer,) = request_all([Address("127.0.0.1", port)])
    assert (answer.error, answer.status) == (REFUSED, 0)


def test_connections_are_kept_only_with_keep_alive():
    """Sequential requests share a connection; without keep-alive each has its own."""
    with Server(valid) as server:
        request_all([server.address], 6, gap=0.1)
        assert server.n_connections < 6
    with Server(valid) as server:
        request_all([server.address], 6, keep_alive=False)
        assert server.n_connections == 6
        assert all(b"Connection: close\r\n" in request for request in server.received)


def test_each_server_receives_its_own_requests():
    """The window names the user and the server of each request."""
    with Server(valid) as one, Server(valid) as other:
        request_all([one.address, other.address], 6)
        for server, users in ((one, (0, 2, 4)), (other, (1, 3, 5))):
            targets = {request.split(b"\r\n")[0] for request in server.received}
            assert targets == {b"GET /recommend/%d HTTP/1.1" % user for user in users}


def test_a_slow_answer_delays_no_other_request():
    """An open loop: while one request hangs the others are sent and answered."""
    held = threading.Event()

    def first_hangs(server, connection):
        for request in server.requests(connection):
            if b"/recommend/0 " in request:
                held.wait(5)
            connection.sendall(GOOD)

    with Server(first_hangs) as server:
        answers = request_all([server.address], 20, gap=0.005)
        held.set()
    assert [one.error for one in answers] == [TIMED_OUT] + [""] * 19


def test_both_ends_may_send_more_than_the_pipe_holds():
    """Windows are sent while responses arrive: neither end blocks."""
    body = b"x" * 30_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def large_answers(server, connection):
        for _ in server.requests(connection):
            connection.sendall(answer)

    with Server(large_answers) as server, RequestClient([server.address]) as client:
        begin = time.monotonic()
        for number in range(60):
            client.send(Window(number, [begin] * 10, [0] * 10, [b"7" * 3000] * 10))
        complete = [client.receive(10) for _ in range(60)]
    assert sorted(window[0] for window in complete if window) == list(range(60))


def test_an_empty_window_is_complete_at_once():
    """Poisson traffic has such windows."""
    with RequestClient([Address("127.0.0.1", 1)]) as client:
        client.send(Window(0, [], [], []))
        assert client.receive(5) == (0, [])
        assert client.receive(0.01) is None


def test_receive_raises_when_the_client_process_has_died():
    """It does not wait for responses that cannot arrive."""
    with RequestClient([Address("127.0.0.1", 1)]) as client:
        client._process.kill()
        with pytest.raises(EOFError):
            client.receive(5)
