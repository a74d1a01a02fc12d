"""A real trace of a grader's requests: every answer passes its checks."""

import collections
import itertools
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from batch.records.catalogue import read_catalogues
from serve.errors import ServeError
from serve.settings import ServeSettings
from serve.supervisor.nginx import nginx_program
from tests.serve.server import Server, environment, wait_until

CLIENT_TIMEOUT_SECONDS = 0.6
LIST_LENGTH = 20
N_CONNECTIONS = 4
N_REQUESTS = 119_907
CATALOGUES = ("api/movie-catalogue-2022.csv", "api/movies-2025.jsonl.gz")
VIEWS = "stream/views-290k-users.tsv.gz"
TRACE = "stream/request-trace-2020.txt"
PROFILES = ("api/users-2019.jsonl", "api/users-2022.csv")
PERSONAL = ("list", "history", "recent")  # of that user alone
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
SOURCE = re.compile(rb"\r\nX-Marquee-Source: (\w+)\r\n", re.IGNORECASE)


class Grader(threading.Thread):
    """Requests one user after the other on one connection, and checks every answer.

    Attributes:
        sources: Number of successful answers by source.
        failures: User and reason of each other answer.
    """

    def __init__(self, address, user_ids, catalogue):
        super().__init__()
        self.sources: collections.Counter[str] = collections.Counter()
        self.failures = []
        self._address = address
        self._user_ids = user_ids
        self._catalogue = catalogue

    def run(self):
        connection = self._connect()
        for user_id in self._user_ids:
            try:
                head, body = ask(connection, user_id)
            except (OSError, ValueError) as error:
                self.failures.append((user_id, repr(error)))
                connection.close()
                connection = self._connect()
                continue
            if why := self._fault(head, body):
                self.failures.append((user_id, why))
            else:
                [source] = SOURCE.findall(head)
                self.sources[source.decode()] += 1
        connection.close()

    def _connect(self):
        return socket.create_connection(self._address, timeout=CLIENT_TIMEOUT_SECONDS)

    def _fault(self, head, body):
        if not head.startswith(b"HTTP/1.1 200 "):
            return f"unexpected response status: {head[:30]}"
        names = body.decode().split(",")
        for name in names:
            if name not in self._catalogue:
                return f"movie {name} not found"
        if not 1 <= len(names) <= LIST_LENGTH or len(set(names)) < len(names):
            return f"{len(names)} movies"
        return None


def ask(connection, user_id):
    """Return head and body of an answer that is complete and in time."""
    until = time.monotonic() + CLIENT_TIMEOUT_SECONDS
    connection.sendall(
        b"GET /recommend/%s HTTP/1.1\r\nHost: grader\r\nUser-Agent: grader/1\r\n"
        b"Accept: */*\r\nAccept-Encoding: gzip\r\n\r\n" % user_id
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    [length] = LENGTH.findall(head + b"\r\n")
    n_bytes = int(length)
    while len(body) < n_bytes:
        body += received(connection)
    if len(body) > n_bytes:
        raise ValueError("more than was announced")
    if time.monotonic() > until:
        raise TimeoutError("too late")
    return head, body


def received(connection):
    if not (part := connection.recv(65536)):
        raise ConnectionError("closed")
    return part


@pytest.fixture(scope="module")
def trace(shared_data):
    """The users in the order of their requests."""
    lines = (shared_data / TRACE).read_bytes().splitlines()
    return [line for line in lines if line and not line.startswith(b"#")]


@pytest.fixture(scope="module")
def real_store(shared_data, tmp_path_factory):
    """A snapshot of the views of 290,000 users, with little training."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / "fast.toml").write_text(
        '[batch]\nmodel = "als"\niterations = 2\nn_factors = 32\nn_trees = 10\n'
    )
    inputs = [
        *(("--events", shared_data / VIEWS), ("--store", "store"), ("--config", "fast.toml")),
        *(("--catalogue", shared_data / name) for name in CATALOGUES),
        *(("--profiles", shared_data / name) for name in PROFILES),
    ]
    subprocess.run(
        [sys.executable, "-m", "batch", "refresh", *itertools.chain(*inputs)],
        cwd=folder,
        env=environment(),
        check=True,
        capture_output=True,
    )
    return folder / "store"


def has_nginx():
    try:
        return bool(nginx_program(ServeSettings()))
    except ServeError:
        return False


@pytest.mark.alone
def test_a_real_trace_is_answered(trace, real_store, shared_data, tmp_path, capsys):
    """In time, with 200 and ids of the catalogue; enough answers are personal."""
    catalogue = set(read_catalogues([shared_data / name for name in CATALOGUES]).items)
    with Server(real_store, tmp_path, "--workers", "2", nginx=has_nginx()) as server:
        wait_until(lambda: server.health()["generation"] == 1)
        graders = [
            Grader((server.host, server.port), trace[first::N_CONNECTIONS], catalogue)
            for first in range(N_CONNECTIONS)
        ]
        for grader in graders:
            grader.start()
        for grader in graders:
            grader.join()

    failures = [failure for grader in graders for failure in grader.failures]
    sources = sum((grader.sources for grader in graders), collections.Counter())
    n_personal = sum(sources[source] for source in PERSONAL)
    with capsys.disabled():
        share = n_personal / N_REQUESTS
        print(f"\n{N_REQUESTS:,} requests: {dict(sources)}, {share:.1%} personal")  # noqa: T201
    assert failures == []
    assert sources.total() == N_REQUESTS
    assert n_personal > 0.1 * N_REQUESTS
