"""A real server process, and clients that speak to it.

    with Server(store, folder, "--workers", "2") as server:
        server.get("/recommend/ann")    -> Answer(status, headers, body)

It is bare, or behind nginx with `front=True`. Its log goes into a file of
`folder`. Leaving the `with` stops it, and fails if a process of it is left over.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from serve.errors import ServeError
from serve.settings import ServeSettings
from serve.supervisor.nginx import nginx_program
from store.layout import RECS, snapshot_folder

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 15
HUNG_SECONDS = 10  # of an answer: the client gives up


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def generation(self):
        text = self.headers["X-Marquee-Generation"]
        return int(text) if text else None

    @property
    def source(self):
        return self.headers["X-Marquee-Source"]


def ask(connection, target, method="GET", headers=None, body=None):
    """Send one request on a connection and read the whole answer."""
    connection.request(method, target, body=body, headers=headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def wait_until(is_true, seconds=PATIENCE_SECONDS):
    """Return what `is_true()` gives once that is true; fail where it does not become so."""
    deadline = time.monotonic() + seconds
    while not (found := is_true()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)
    return found


def command(*options, store=None):
    """The command line of a server on a free port; later options win."""
    where = ["--store", str(store)] if store else []
    return [sys.executable, "-m", "serve", "--port", "0", *where, *options]


def environment(**added):
    """The environment of a server: nothing of Marquee's from outside."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")}
    return {**kept, "PYTHONPATH": str(ROOT), **added}


class Server:
    """One running server; it leads a session of its own, so all its processes can be found."""

    def __init__(self, store, folder, *options, front=False, **environ):
        if front:
            need_nginx()
        bare = [] if front else ["--bare"]
        self.log = folder / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command(*bare, *options, store=store),
                cwd=folder,
                env=environment(**environ),
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            found = wait_until(self._address)
        except BaseException:
            self.stop()
            raise
        self.host, self.port, self.n_workers = found[1], int(found[2]), int(found[3])
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stop it, whatever state it is in; fail if anything had to be killed."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_SECONDS)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)
        assert not left, f"processes left over: {left}\n{self.log.read_text()}"

    def _address(self):
        assert self.process.poll() is None, self.log.read_text()
        return re.search(r"http://([\d.]+):(\d+), (\d+) workers", self.log.read_text())

    # Its processes

    def processes(self):
        """Every living process of it: supervisor, workers, verifications."""
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [pid for pid in pids if _session(pid) == self.process.pid and state(pid) != "Z"]

    def workers(self):
        """The pids of the workers that serve: each leads a process group of its own."""
        others = [pid for pid in self.processes() if pid != self.process.pid]
        return sorted(pid for pid in others if _group(pid) == pid and _is_worker(pid))

    def wait_for_workers(self, other_than=()):
        """Return the pids once all workers run and none of `other_than` does."""

        def found():
            pids = self.workers()
            is_full = len(pids) == self.n_workers
            return pids if is_full and not set(pids) & set(other_than) else None

        return wait_until(found)

    def wait_for_log(self, text):
        wait_until(lambda: text in self.log.read_text())

    # Its clients

    def connect(self):
        return contextlib.closing(
            http.client.HTTPConnection(self.host, self.port, timeout=HUNG_SECONDS)
        )

    def dial(self):
        return socket.create_connection((self.host, self.port), timeout=HUNG_SECONDS)

    @contextlib.contextmanager
    def connect_to(self, worker):
        """A keep-alive connection to that worker: the others stand still when it is accepted."""
        others = [pid for pid in self.workers() if pid != worker]
        with self.connect() as connection:
            for pid in others:
                stand_still(pid)
            try:
                ask(connection, "/healthz")
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
            yield connection

    def get(self, target, method="GET", headers=None, body=None):
        """Ask once, on a connection of its own."""
        with self.connect() as connection:
            return ask(connection, target, method, headers, body)

    def exchange(self, raw):
        """Send bytes as they stand, and return all that comes back until the server closes."""
        with self.dial() as peer:
            peer.sendall(raw)
            return b"".join(iter(lambda: peer.recv(65536), b""))

    def health(self):
        return json.loads(self.get("/healthz").body)

    def wait_for_generation(self, generation):
        """Return once every worker answers out of that generation."""
        for worker in self.wait_for_workers():
            with self.connect_to(worker) as connection:
                wait_until(lambda c=connection: ask(c, "/recommend/ann").generation == generation)


def stand_still(pid):
    """Stop a process, and return when it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state(pid) == "T")


def state(pid):
    """The letter of `ps`: R, S, T for stopped, Z for dead; None when it is gone."""
    fields = _stat(pid)
    return fields[0] if fields else None


def need_nginx():
    """Skip a test where nginx is not installed."""
    try:
        nginx_program(ServeSettings())
    except ServeError as error:
        pytest.skip(str(error))


def _is_worker(pid):
    """Tell a worker from nginx and from the process for `/admin/`, which has no timer."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = int(re.search(r"SigCgt:\t(\w+)", status)[1], 16)
    is_timed = caught >> (signal.SIGALRM - 1) & 1
    return bool(is_timed) and not status.startswith("Name:\tnginx\n")


def _group(pid):
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def _session(pid):
    fields = _stat(pid)
    return int(fields[3]) if fields else None


def _stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


# Harm done to a store


def flip_byte(store, generation, file=RECS):
    """Change one byte in the middle of a file of a snapshot; done twice, it is whole again."""
    path = snapshot_folder(store, generation) / file
    with path.open("r+b") as opened:
        opened.seek(path.stat().st_size // 2)
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ 0xFF]))


def force_current(store, text):
    """Point `CURRENT` at something without the checks of `publish`."""
    pending = store / "CURRENT.forced"
    pending.write_text(f"{text}\n")
    pending.replace(store / "CURRENT")
