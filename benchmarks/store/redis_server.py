"""Redis: Debian's server on a unix socket of its own, and the smallest client that will do.

A client library is left out: what it does in Python would count against the server.
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

from benchmarks.store.subjects import Get, Records

_PER_MSET = 1_000  # of 20 to 10,000 the fastest; SET through `redis-cli --pipe` is no faster
_START_SECONDS = 120.0
_POLL_SECONDS = 0.002
_RECEIVE_BYTES = 1 << 16


class Redis:
    """A server without persistence of its own while it loads, and one SAVE at the end.

    Args:
        one_core: Look up with server and client held on the same core. Most of
            a small answer's time goes into waking the other process, and that
            is quickest so; the load is quickest with a core for each.
    """

    def __init__(self, *, one_core: bool) -> None:
        self._one_core = one_core
        self.name = "redis" if one_core else "redis-unpinned"
        self.how = (
            "unix socket, MSET of 1,000 lists pipelined, then one SAVE (rdbcompression no); GET "
            "through a raw socket client that builds one request and cuts one answer; server and "
            f"client {'held on one core for the lookups' if one_core else 'where Linux puts them'}"
        )

    @property
    def version(self) -> str:
        """The server's, as it says itself."""
        said = subprocess.run(
            ["redis-server", "--version"], stdout=subprocess.PIPE, text=True, check=True
        )
        return f"Redis {said.stdout.split('v=')[1].split()[0]}"

    def missing(self) -> str | None:
        """Debian's package, unless it is there."""
        return None if shutil.which("redis-server") else "redis-server"

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Send all lists, then have them saved; the server's start is not counted."""
        with _Server(folder) as server:
            start = time.perf_counter()
            server.load(records)
            loaded = time.perf_counter()
            server.ask(b"SAVE")
            end = time.perf_counter()
        return {"write": end - start, "table": loaded - start, "sync": end - loaded}

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Get]:
        """Start the server on what was saved, and wait until it has read all of it."""
        with _Server(folder) as server, contextlib.ExitStack() as held:
            if self._one_core:
                held.enter_context(server.on_one_core())
            yield server.get

    def files(self, folder: Path) -> list[Path]:
        """None: every list lies in the server's memory."""
        return []


class _Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        path = self._folder / "socket"
        options = {"port": "0", "unixsocket": str(path), "dir": str(self._folder), "save": "",
                   "appendonly": "no", "rdbcompression": "no"}  # fmt: skip
        given = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(["redis-server", *given], stdout=subprocess.DEVNULL)
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._wait(path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.kill()  # what was to last was saved
        self._process.wait()

    def get(self, key: bytes) -> bytes | None:
        """Ask for one list."""
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
        """Hold every thread of the server, and this process, on the same core."""
        cores = os.sched_getaffinity(0)
        tasks = [0, *(int(task.name) for task in Path(f"/proc/{self._process.pid}/task").iterdir())]
        for task in tasks:
            os.sched_setaffinity(task, {min(cores)})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)

    def ask(self, command: bytes) -> bytes:
        """Send one command without arguments and return its one line."""
        self._socket.sendall(command + b"\r\n")
        answer = self._line()
        if answer.startswith(b"-"):
            raise RuntimeError(answer.decode())
        return answer

    def load(self, records: Records) -> None:
        """Send the next MSET before the answer to the last one is read."""
        rest = iter(records)
        n_open = 0
        while chunk := list(itertools.islice(rest, _PER_MSET)):
            pairs = [b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(k), k, len(v), v) for k, v in chunk]
            request = b"*%d\r\n$4\r\nMSET\r\n%b" % (2 * len(chunk) + 1, b"".join(pairs))
            self._socket.sendall(request)
            n_open += 1
            if n_open > 1:
                n_open -= self._answers()
        while n_open:
            n_open -= self._answers()

    def _answers(self) -> int:
        answers = self._line()
        if answers.strip(b"+OK\r\n"):
            raise RuntimeError(answers.decode())
        return answers.count(b"\n")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._socket.recv(_RECEIVE_BYTES)
        return line

    def _wait(self, path: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        is_connected = False
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, RuntimeError):  # not there yet, or still loading
                if not is_connected:
                    self._socket.connect(os.fspath(path))
                    is_connected = True
                self.ask(b"PING")
                return
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"{path}: redis-server did not start")
