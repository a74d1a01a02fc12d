"""A real server process and its clients.

    with Server(store, folder, "--workers", "2") as server:
        server.get("/recommend/ann")    -> Answer(status, headers, body)

It is bare, or behind nginx with `nginx=True`. Its log is a file in `folder`.
Leaving the `with` stops it, and fails if one of its processes is left over.
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
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.supervisor.nginx import nginx_program
from store.layout import RECS, snapshot_folder

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 15
CLIENT_TIMEOUT_SECONDS = 10


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


def wait_until(condition, seconds=TIMEOUT_SECONDS):
    """Return the result of `condition()` once it is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.02)
    return found


def command(*options, store=None):
    """The command line of a server on a free port; later options override earlier ones."""
    named = ["--store", str(store)] if store else []
    return [sys.executable, "-m", "serve", "--port", "0", *named, *options]


def environment(**added):
    """The environment of a server, without Marquee's variables from outside."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")}
    user = {"MARQUEE_SERVE_USER": "root"} if os.geteuid() == 0 else {}
    return {**kept, "PYTHONPATH": str(ROOT), **user, **added}


class Server:
    """One running server in a session of its own, by which its processes are found."""

    def __init__(self, store, folder, *options, nginx=False, **environ):
        if nginx:
            skip_without_nginx()
        bare = [] if nginx else ["--bare"]
        self.store = store
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
        self.host, self.port = found[1], int(found[2])
        self.n_side_workers = int(found[4] or 0)
        self.n_workers = int(found[3]) + self.n_side_workers
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stop it in any state; fail if a process had to be killed."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(TIMEOUT_SECONDS)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_SECONDS)
        assert not left, f"processes left over: {left}\n{self.log.read_text()}"

    def _address(self):
        assert self.process.poll() is None, self.log.read_text()
        line = r"http://([\d.]+):(\d+), (\d+) workers(?:, behind nginx, (\d+) more)?"
        return re.search(line, self.log.read_text())

    # Its processes

    def processes(self):
        """Every living process: supervisor, workers, verifications."""
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [pid for pid in pids if _session(pid) == self.process.pid and state(pid) != "Z"]

    def workers(self):
        """The pids of all workers; each leads a process group of its own."""
        others = [pid for pid in self.processes() if pid != self.process.pid]
        return sorted(pid for pid in others if _group(pid) == pid and _is_worker(pid))

    def wait_for_workers(self, other_than=()):
        """Return the pids once all workers run, and no longer those of `other_than`."""

        def found():
            pids = self.workers()
            is_full = len(pids) == self.n_workers
            return pids if is_full and not set(pids) & set(other_than) else None

        return wait_until(found)

    def list_workers(self):
        """The pids of the other workers."""
        return [pid for pid in self.workers() if pid not in self.side_workers()]

    def side_workers(self):
        """The pids of the side workers: they give way to others."""
        return [pid for pid in self.workers() if os.getpriority(os.PRIO_PROCESS, pid) > 0]

    def wait_for_ticks(self):
        """Return once every worker has finished a tick that began after this call."""
        scoreboard = self._scoreboard()
        slots = [slot for slot in range(scoreboard.n_slots) if scoreboard.is_ready(slot)]
        assert len(slots) == self.n_workers
        for _ in range(2):  # the second heartbeat shows that the first one's tick is finished
            begin = time.monotonic()
            for slot in slots:
                wait_until(
                    lambda s=slot, b=begin: scoreboard.seconds_since_beat(s) < time.monotonic() - b
                )

    def _scoreboard(self):
        """Map the supervisor's scoreboard, which has one slot more than workers in each pool."""
        n_pools = 2 if self.n_side_workers else 1
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            if "memfd:marquee-scoreboard" in str(entry.readlink()):
                return Scoreboard(self.n_workers + n_pools, os.open(entry, os.O_RDWR))
        raise AssertionError("the supervisor has no scoreboard")

    def wait_for_log(self, text):
        wait_until(lambda: text in self.log.read_text())

    # Its clients

    def connect(self):
        return contextlib.closing(
            http.client.HTTPConnection(self.host, self.port, timeout=CLIENT_TIMEOUT_SECONDS)
        )

    def dial(self):
        return socket.create_connection((self.host, self.port), timeout=CLIENT_TIMEOUT_SECONDS)

    @contextlib.contextmanager
    def connect_to(self, worker):
        """A keep-alive connection to that worker: the others are suspended while it accepts."""
        others = [pid for pid in self.workers() if pid != worker]
        with self.connect() as connection:
            for pid in others:
                suspend(pid)
            try:
                ask(connection, "/healthz")
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
            yield connection

    def get(self, target, method="GET", headers=None, body=None):
        """Send one request on a new connection."""
        with self.connect() as connection:
            return ask(connection, target, method, headers, body)

    def exchange(self, raw):
        """Send raw bytes; return everything received until the server closes."""
        with self.dial() as peer:
            peer.sendall(raw)
            return b"".join(iter(lambda: peer.recv(65536), b""))

    def health(self):
        return json.loads(self.get("/healthz").body)

    def wait_for_generation(self, generation):
        """Return once every worker serves that generation."""
        for worker in self.wait_for_workers():
            with self.connect_to(worker) as connection:
                wait_until(lambda c=connection: ask(c, "/recommend/ann").generation == generation)


def suspend(pid):
    """Send SIGSTOP; return when the process has stopped."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state(pid) == "T")


def state(pid):
    """The state letter of `ps`: R, S, T for stopped, Z for dead; None for no process."""
    fields = _stat(pid)
    return fields[0] if fields else None


def skip_without_nginx():
    """Skip a test where nginx is not installed."""
    try:
        nginx_program(ServeSettings())
    except ServeError as error:
        pytest.skip(str(error))


def _is_worker(pid):
    """Whether it is a worker: not nginx, nor the admin process, which has no timer."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    [caught] = re.findall(r"SigCgt:\t(\w+)", status)
    is_timed = int(caught, 16) >> (signal.SIGALRM - 1) & 1
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


# Damage to a store


def flip_byte(store, generation, file=RECS):
    """Change one byte in the middle of a snapshot's file; a second call restores it."""
    path = snapshot_folder(store, generation) / file
    with path.open("r+b") as opened:
        opened.seek(path.stat().st_size // 2)
        byte = opened.read(1)[0]
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ 0xFF]))


def force_current(store, text):
    """Write `CURRENT` without the checks of `publish`."""
    pending = store / "CURRENT.forced"
    pending.write_text(f"{text}\n")
    pending.replace(store / "CURRENT")
