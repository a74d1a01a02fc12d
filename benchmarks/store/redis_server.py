"""Redis: Debian's server on a unix socket, and a minimal client.

No client library is used: its Python code would count against the server.
"""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from benchmarks.harness.errors import LoadError
from benchmarks.harness.processes import threads_of, wait_until
from benchmarks.harness.servers import Command, Servers
from benchmarks.store.subjects import Get, Records

_LISTS_PER_MSET = 1_000  # fastest of 20 to 10,000; as fast as SET through `redis-cli --pipe`
_START_SECONDS = 120.0
_POLL_SECONDS = 0.002
_RECEIVE_BYTES = 1 << 16


class Redis:
    """A server without persistence during the load, and one SAVE at the end.

    Args:
        one_core: Whether server and client are pinned to the same core for the
            lookups. Waking the other process takes most of the time of a small
            answer, and is fastest on one core; the load is fastest on two.
    """

    def __init__(self, *, one_core: bool) -> None:
        self._one_core = one_core
        self.name = "redis" if one_core else "redis-unpinned"
        self.configuration = (
            "unix socket, MSET of 1,000 lists pipelined, then one SAVE (rdbcompression no); GET "
            "through a raw socket client that builds one request and cuts one answer; server and "
            f"client {'pinned to one core for the lookups' if one_core else 'not pinned'}"
        )

    @property
    def version(self) -> str:
        """Version that the server prints."""
        output = subprocess.run(
            ["redis-server", "--version"], stdout=subprocess.PIPE, text=True, check=True
        )
        return f"Redis {output.stdout.split('v=')[1].split()[0]}"

    def missing(self) -> str | None:
        """Return Debian's package if the server is not installed."""
        return None if shutil.which("redis-server") else "redis-server"

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Send all lists, then SAVE; the start of the server is not counted."""
        with _Server(folder) as server:
            start = time.perf_counter()
            server.load(records)
            loaded = time.perf_counter()
            server.send_command(b"SAVE")
            end = time.perf_counter()
        return {"write": end - start, "table": loaded - start, "sync": end - loaded}

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Get]:
        """Start the server on the saved file, and wait until it has loaded all lists."""
        with _Server(folder) as server, contextlib.ExitStack() as stack:
            if self._one_core:
                stack.enter_context(server.on_one_core())
            yield server.get

    def files(self, folder: Path) -> list[Path]:
        """Return no files: all lists are in the server's memory."""
        return []


class _Server:
    """A Redis server in a folder, with one connection.

    Args:
        folder: Folder of the socket, the log and the saved lists.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "socket"
        options = {"port": "0", "unixsocket": str(self._path), "dir": str(folder), "save": "",
                   "appendonly": "no", "rdbcompression": "no"}  # fmt: skip
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        command = Command(["redis-server", *arguments])
        self._servers = Servers("redis", [command], folder=folder)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._servers)
            self._socket = stack.enter_context(socket.socket(socket.AF_UNIX))
            wait_until(self._is_connected, _START_SECONDS, poll_seconds=_POLL_SECONDS)
            wait_until(self._is_loaded, _START_SECONDS, poll_seconds=_POLL_SECONDS)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, key: bytes) -> bytes | None:
        """Return the list of one user."""
        self._socket.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key))
        head, _, body = self._socket.recv(_RECEIVE_BYTES).partition(b"\r\n")
        if head == b"$-1":
            return None
        n_bytes = int(head[1:]) + 2
        while len(body) < n_bytes:
            body += self._socket.recv(_RECEIVE_BYTES)
        return body[:-2]

    @contextlib.contextmanager
    def on_one_core(self) -> Iterator[None]:
        """Pin every thread of the server, and this process, to the same core."""
        cores = os.sched_getaffinity(0)
        [server] = self._servers.pids()
        tasks = [0, *threads_of(server)]
        for task in tasks:
            os.sched_setaffinity(task, {min(cores)})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)

    def send_command(self, command: bytes) -> bytes:
        """Send one command without arguments and return its one line of reply."""
        self._socket.sendall(command + b"\r\n")
        answer = self._line()
        if answer.startswith(b"-"):
            raise LoadError("redis-server", answer.decode().strip())
        return answer

    def load(self, records: Records) -> None:
        """Send all lists by MSET; the next is sent before the reply to the last one is read."""
        rest = iter(records)
        n_pending = 0
        while chunk := list(itertools.islice(rest, _LISTS_PER_MSET)):
            pairs = [b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(k), k, len(v), v) for k, v in chunk]
            request = b"*%d\r\n$4\r\nMSET\r\n%b" % (2 * len(chunk) + 1, b"".join(pairs))
            self._socket.sendall(request)
            n_pending += 1
            if n_pending > 1:
                n_pending -= self._answers()
        while n_pending:
            n_pending -= self._answers()

    def _answers(self) -> int:
        answers = self._line()
        if answers.strip(b"+OK\r\n"):
            raise LoadError("redis-server", answers.decode().strip())
        return answers.count(b"\n")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._socket.recv(_RECEIVE_BYTES)
        return line

    def _is_connected(self) -> bool:
        self._servers.check()
        with contextlib.suppress(OSError):  # not listening yet
            self._socket.connect(os.fspath(self._path))
            return True
        return False

    def _is_loaded(self) -> bool:
        self._servers.check()
        with contextlib.suppress(LoadError):  # still loading
            return self.send_command(b"PING").startswith(b"+PONG")
        return False
