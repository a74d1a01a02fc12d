"""Hostile clients: malformed bytes, and requests that never end."""

import contextlib
import random
import re
import socket
import time
from collections import Counter
from typing import Final, NamedTuple

from benchmarks.harness.servers import Address
from benchmarks.resilience.answers import MalformedError, read_answer
from benchmarks.resilience.faults import SEED, Bench, Outcome
from benchmarks.resilience.fuzz import Case, cases

WORKER_ENDED: Final = r"worker \d+ ended with"
_N_CONNECTIONS: Final = 100_000
_N_SLOW: Final = 1_000
_SLOW_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 15.0  # longer than nginx waits for the rest of a request
_BETWEEN_PIECES_SECONDS: Final = 0.0005
_HTTP_0_9: Final = re.compile(rb"[A-Z_-]+ +[^ \r\n]* *[\r\n]")  # the answer to it has no head
_GET: Final = b"GET /recommend/1 HTTP/1.1\r\nHost: a\r\n"
_POST: Final = b"POST /recommendations HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"


class Reply(NamedTuple):
    """The answers on one connection.

    Attributes:
        statuses: Status codes of the answers, in order.
        wrong: Defect of the first invalid answer; empty if all are valid.
    """

    statuses: list[int]
    wrong: str = ""


def fuzzed(bench: Bench) -> Outcome:
    """100,000 connections of malformed bytes: no worker dies, every answer is valid HTTP."""
    rng, statuses, wrongs = random.Random(SEED), Counter[int](), Counter[str]()
    n_connections = len(bench.times(_N_CONNECTIONS))
    with bench.serving("fuzzed") as server, bench.load(server) as load:
        for _, case in zip(range(n_connections), cases(rng), strict=False):
            reply = send_case(server.address, case)
            statuses.update(reply.statuses)
            if reply.wrong:
                wrongs[f"{case.name}: {reply.wrong}"] += 1
        n_deaths = server.count_in_log(WORKER_ENDED)
    load.seen.examples.extend(f"{n} × {wrong}" for wrong, n in wrongs.most_common(5))
    figures = {
        "worker_deaths": n_deaths,
        "malformed_answers": wrongs.total(),
        "gateway_errors": sum(n for status, n in statuses.items() if 502 <= status <= 504),
        "fuzzed_answers": statuses.total(),
    }
    goals = {"worker_deaths": 0, "malformed_answers": 0, "failed": 0, "refused": 0}
    return Outcome(
        f"{n_connections:,} connections of malformed bytes",
        load.seen,
        {name: float(value) for name, value in figures.items()},
        {name: float(limit) for name, limit in goals.items()},
    )


def slow(bench: Bench) -> Outcome:
    """1,000 clients that send a byte now and then, stop in the middle, or never read."""
    n_slow = len(bench.times(_N_SLOW))
    with bench.serving("slow") as server, contextlib.ExitStack() as connections:
        clients = [
            connections.enter_context(socket.create_connection(server.address, timeout=5))
            for _ in range(n_slow)
        ]
        with bench.load(server) as load:
            _send_slowly(clients, len(bench.times(int(_SLOW_SECONDS))))
        n_deaths = server.count_in_log(WORKER_ENDED)
    goals = {"failed": 0.0, "refused": 0.0, "late": 0.0, "worker_deaths": 0.0}
    return Outcome(f"{n_slow:,} slow clients", load.seen, {"worker_deaths": float(n_deaths)}, goals)


def send_case(
    address: Address | tuple[str, int], case: Case, *, patience_seconds: float = _PATIENCE_SECONDS
) -> Reply:
    """Send a case on a connection of its own, and parse the answers until its end."""
    received = b""
    try:
        with socket.create_connection(address, timeout=patience_seconds) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):  # it may be cut off before its last piece
                for piece in case.pieces:
                    peer.sendall(piece)
                    if len(case.pieces) > 1:
                        time.sleep(_BETWEEN_PIECES_SECONDS)
                peer.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while got := peer.recv(65536):
                    received += got
    except TimeoutError:
        return Reply([], f"no end in {patience_seconds} s")
    return read_all(received, b"".join(case.pieces))


def read_all(received: bytes, sent: bytes) -> Reply:
    """Parse received bytes as a sequence of answers."""
    statuses = list[int]()
    to_head = sent.lstrip(b"\r\n").startswith(b"HEAD ")
    while received:
        try:
            answer = read_answer(received, to_head=to_head)
            if answer is None and b"HEAD " in sent:  # this may answer a pipelined HEAD
                answer = read_answer(received, to_head=True)
        except MalformedError as error:
            return Reply(statuses, "" if _HTTP_0_9.search(sent) else str(error))
        if answer is None:
            return Reply(statuses, f"an answer breaks off: {received[:60]!r}")
        statuses.append(answer.status)
        received = received[answer.n_bytes :]
        to_head = received.startswith(b"HTTP/1.") and b"HEAD " in sent and _has_no_body(received)
    return Reply(statuses)


def _has_no_body(received: bytes) -> bool:
    """Return whether the next answer follows directly on the head of this one."""
    _, _, rest = received.partition(b"\r\n\r\n")
    return rest.startswith(b"HTTP/1.")


def _send_slowly(clients: list[socket.socket], n_seconds: int) -> None:
    """Send a header byte by byte, half a body, or requests without reading: a third each."""
    for n, peer in enumerate(clients):
        with contextlib.suppress(OSError):
            if n % 3 == 1:
                peer.sendall(_POST + b"{")
            elif n % 3 == 2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                peer.sendall((_GET + b"\r\n") * 50)
    header = _GET * 4
    for second in range(n_seconds):
        for peer in clients[::3]:
            with contextlib.suppress(OSError):  # nginx has closed the connection
                peer.sendall(header[second : second + 1])
        time.sleep(1)
