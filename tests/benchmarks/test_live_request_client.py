"""The process that asks: what every kind of server's behaviour comes back as."""

import socket
import threading
import time

import pytest

from benchmarks.simulator.live.requests.client import Asker
from benchmarks.simulator.live.requests.messages import (
    CUT,
    LIMIT_MS,
    REFUSED,
    TIMED_OUT,
    Address,
    Window,
)

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Marquee-Source: list\r\n\r\na+1,b+2"


class Server:
    """Answers each connection by a function of it, in threads; counts connections and requests."""

    def __init__(self, serve):
        self.n_connections, self.asked = 0, []
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
        with connection:
            self._serve(self, connection)

    def requests(self, connection):
        """Yield each request of a connection."""
        while got := connection.recv(65536):
            self.asked.append(got)
            yield got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def good(server, connection):
    for _ in server.requests(connection):
        connection.sendall(GOOD)


def silent(server, connection):
    for _ in server.requests(connection):
        time.sleep(1.2 * LIMIT_MS / 1000)


def half(server, connection):
    for _ in server.requests(connection):
        connection.sendall(GOOD[:-3])
        return


def closing(server, connection):
    for _ in server.requests(connection):
        return


def no_http(server, connection):
    for _ in server.requests(connection):
        connection.sendall(b"220 mail.example ESMTP\r\n")


def in_pieces(server, connection):
    for _ in server.requests(connection):
        for place in range(0, len(GOOD), 20):
            connection.sendall(GOOD[place : place + 20])
            time.sleep(0.001)


def one_each(server, connection):
    """Keep the connection by its words, and close it all the same."""
    for _ in server.requests(connection):
        connection.sendall(GOOD)
        return


def ask(addresses, n=1, n_windows=1, gap=0.02, *, keeps=True):
    """Ask n requests in each of some windows, and return what came of all, in order."""
    with Asker(addresses, keeps=keeps) as asker:
        begin = time.monotonic() + 0.05
        for number in range(n_windows):
            due = [begin + gap * (number * n + place) for place in range(n)]
            servers = [place % len(addresses) for place in range(n)]
            asker.ask(Window(number, due, servers, [b"%d" % place for place in range(n)]))
        windows = {}
        while len(windows) < n_windows:
            complete = asker.came(5)
            assert complete is not None
            windows[complete[0]] = complete[1]
    return [came for number in range(n_windows) for came in windows[number]]


@pytest.mark.parametrize("serve", [good, in_pieces, one_each], ids=lambda f: f.__name__)
def test_a_good_answer_comes_whole(serve):
    """However it is cut up, and where a kept connection was closed the request is repeated."""
    with Server(serve) as server:
        answers = ask([server.address], 5)
    assert [(one.error, one.status, one.body, one.source) for one in answers] == [
        ("", 200, b"a+1,b+2", "list")
    ] * 5
    assert all(0 <= one.late_ms <= one.milliseconds < LIMIT_MS for one in answers)


@pytest.mark.parametrize(
    ("serve", "error"),
    [(silent, TIMED_OUT), (half, CUT), (closing, CUT), (no_http, CUT)],
    ids=["silent", "half", "closing", "no-http"],
)
def test_a_bad_server_is_told_apart(serve, error):
    """Nobody waits longer than the limit, and what came says what went wrong."""
    with Server(serve) as server:
        answers = ask([server.address], 3)
    assert [one.error.partition(":")[0] for one in answers] == [error] * 3
    assert {one.status for one in answers} == {0}
    if error == TIMED_OUT:
        assert min(one.milliseconds for one in answers) >= LIMIT_MS


def test_nobody_there_is_refused():
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    (answer,) = ask([Address("127.0.0.1", port)])
    assert (answer.error, answer.status) == (REFUSED, 0)


def test_connections_are_kept_or_not():
    """One after the other they share one connection; without keep-alive each has its own."""
    with Server(good) as server:
        ask([server.address], 6, gap=0.1)
        assert server.n_connections < 6
    with Server(good) as server:
        ask([server.address], 6, keeps=False)
        assert server.n_connections == 6
        assert all(b"Connection: close\r\n" in request for request in server.asked)


def test_each_server_is_asked_its_own():
    """The request line has what the window says, at the server that it names."""
    with Server(good) as one, Server(good) as other:
        ask([one.address, other.address], 6)
        for server, users in ((one, (0, 2, 4)), (other, (1, 3, 5))):
            asked = {request.split(b"\r\n")[0] for request in server.asked}
            assert asked == {b"GET /recommend/%d HTTP/1.1" % user for user in users}


def test_a_slow_answer_keeps_nobody_else_waiting():
    """An open loop: while one request hangs the others are asked and answered."""
    held = threading.Event()

    def first_hangs(server, connection):
        for request in server.requests(connection):
            if b"/recommend/0 " in request:
                held.wait(5)
            connection.sendall(GOOD)

    with Server(first_hangs) as server:
        answers = ask([server.address], 20, gap=0.005)
        held.set()
    assert [one.error for one in answers] == [TIMED_OUT] + [""] * 19


def test_both_may_have_much_to_say_at_once():
    """Windows are handed over while answers come, more than a pipe holds: neither end waits."""
    body = b"x" * 30_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def much(server, connection):
        for _ in server.requests(connection):
            connection.sendall(answer)

    with Server(much) as server, Asker([server.address]) as asker:
        begin = time.monotonic()
        for number in range(60):
            asker.ask(Window(number, [begin] * 10, [0] * 10, [b"7" * 3000] * 10))
        numbers = [asker.came(10)[0] for _ in range(60)]
    assert sorted(numbers) == list(range(60))


def test_an_empty_window_is_complete_at_once():
    """Poisson has some."""
    with Asker([Address("127.0.0.1", 1)]) as asker:
        asker.ask(Window(0, [], [], []))
        assert asker.came(5) == (0, [])
        assert asker.came(0.01) is None


def test_the_simulator_hears_when_the_process_is_gone():
    """It does not wait for ever for answers that nobody will bring."""
    with Asker([Address("127.0.0.1", 1)]) as asker:
        asker._process.kill()
        with pytest.raises(EOFError):
            asker.came(5)
