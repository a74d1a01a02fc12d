"""Malformed bytes and slow clients: no worker dies, and correct requests are answered."""

import contextlib
import itertools
import random
import re
import socket

import pytest

from benchmarks.resilience.answers import MalformedError, read_answer, what_is_wrong
from benchmarks.resilience.fuzz import Case, cases, tricks_of
from benchmarks.resilience.hostile_clients import WORKER_ENDED, read_all, send_case
from benchmarks.resilience.lists import own_list, popular_list, write_snapshot
from benchmarks.resilience.load import Load
from tests.serve.server import Server, wait_until

N_USERS = 300
SEED = 11
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two workers behind nginx, for all tests of this file."""
    folder = tmp_path_factory.mktemp("fuzzed")
    write_snapshot(folder / "store", N_USERS)
    with Server(folder / "store", folder, "--workers", "2", nginx=True) as running:
        wait_until(lambda: running.get("/recommend/1").source == "list")
        yield running


@pytest.fixture
def survives(server):
    """Check that the workers survive the test and answer."""
    before = server.wait_for_workers()
    yield
    assert server.workers() == before, server.log.read_text()[-2000:]
    assert server.get("/recommend/1").body == own_list(1, 1)


@pytest.mark.parametrize("case", list(tricks_of(random.Random(SEED))), ids=lambda case: case.name)
@pytest.mark.usefixtures("survives")
def test_each_malformed_request_is_answered_or_disconnected(server, case):
    """Everything received is valid HTTP."""
    assert send_case((server.host, server.port), case).wrong == ""


@pytest.mark.usefixtures("survives")
def test_workers_survive_mutated_requests(server):
    """Bytes are changed, doubled, dropped, and split at random."""
    for case in itertools.islice(cases(random.Random(SEED)), 600):
        assert send_case((server.host, server.port), case).wrong == "", case


@pytest.mark.usefixtures("survives")
def test_a_smuggled_request_is_never_answered(server):
    """A request that hides another in its body gets at most one answer."""
    hidden = b"GET /recommend/2 HTTP/1.1\r\nHost: a\r\n\r\n"
    for length, coding in (
        (b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"),
        (b"Content-Length: 0\r\n", b"Transfer-Encoding : chunked\r\n"),
        (b"Content-Length: 5\r\n", b"Content-Length: 0\r\n"),
    ):
        head = b"POST /recommendations HTTP/1.1\r\nHost: a\r\n" + length + coding + b"\r\n"
        received = server.exchange(head + b"0\r\n\r\n" + hidden)
        assert own_list(2, 1) not in received
        assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("text", ["%0d%0aSet-Cookie:a", "%00", "a%ff", "%2f", "a%20b", "a%0ab"])
@pytest.mark.usefixtures("survives")
def test_escaped_control_characters_are_not_a_user_id(server, text):
    """They get 400 in words, and do not appear in a header."""
    answer = server.get(f"/recommend/{text}")

    assert answer.status == 400
    assert answer.headers["Set-Cookie"] is None


@pytest.mark.usefixtures("survives")
def test_pipelined_requests_are_answered_in_order(server):
    """Each with its own list."""
    users = range(20)
    pipelined = b"".join(b"GET /recommend/%d HTTP/1.1\r\nHost: a\r\n\r\n" % user for user in users)
    with server.dial() as peer:
        peer.sendall(pipelined)
        received = b""
        bodies: list[bytes] = []
        while len(bodies) < len(users):
            while not (answer := read_answer(received)):
                received += peer.recv(65536)
            bodies.append(answer.body)
            received = received[answer.n_bytes :]

    assert bodies == [own_list(user, 1) for user in users]


@pytest.mark.usefixtures("survives")
def test_slow_clients_do_not_affect_others(server, tmp_path):
    """150 of them: half a header, half a body, answers never read."""
    line = b"GET /recommend/1 HTTP/1.1\r\nHost: a\r\n"
    half_body = b"POST /recommendations HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
    with contextlib.ExitStack() as opened:
        for sent in (line, half_body, (line + b"\r\n") * 100):
            for _ in range(50):
                peer = opened.enter_context(server.dial())
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                peer.sendall(sent)
        with Load((server.host, server.port), N_USERS, tmp_path, rate=300) as load:
            wait_until(lambda: server.get("/recommend/1").status == 200)
            for user in range(200):
                assert server.get(f"/recommend/{user}").body == own_list(user, 1)

    assert (load.seen.n_failed, load.seen.n_refused) == (0, 0), load.seen.examples


def test_no_worker_has_ended(server):
    """Checked after all other tests of this file."""
    assert not re.search(WORKER_ENDED, server.log.read_text(errors="replace"))


# The checks themselves


def read_whole(received):
    """Return the answer at the beginning of these bytes."""
    answer = read_answer(received)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "received",
    [
        b"<html>",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_the_reader_rejects_malformed_answers(received):
    """It is stricter than any client."""
    with pytest.raises(MalformedError):
        read_answer(received)


def test_answers_are_read_whole_or_not_at_all():
    """Every prefix is incomplete, and following bytes are not consumed."""
    assert [read_answer(OK[:n]) for n in range(len(OK))] == [None] * len(OK)
    assert read_whole(OK + b"more").n_bytes == len(OK)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    assert read_whole(chunked).body == b"ab"
    assert read_all(OK + OK, b"GET").statuses == [200, 200]
    assert "breaks off" in read_all(OK[:-1], b"GET").wrong


def test_a_list_of_another_generation_is_mixed():
    """Header and body must agree."""

    def answered(user, generation, body, source="list"):
        head = b"HTTP/1.1 200 OK\r\nX-Marquee-Source: %s\r\nX-Marquee-Generation: %d\r\n"
        text = head % (source.encode(), generation) + b"Content-Length: %d\r\n\r\n" % len(body)
        return what_is_wrong(read_whole(text + body), user, has_list=source == "list")

    assert answered(5, 2, own_list(5, 2)) == ""
    assert answered(5, 2, own_list(5, 1)) == "mixed"
    assert answered(5, 2, own_list(6, 2)) == "mixed"
    assert answered(5, 2, popular_list(1), "popular") == "mixed"
    assert answered(5, 2, popular_list(2), "popular") == ""


def test_a_hung_connection_is_detected():
    """A server that neither answers nor closes is wrong, too."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        host, port = silent.getsockname()
        assert "no end" in send_case((host, port), Case("nothing", []), patience_seconds=0.2).wrong
