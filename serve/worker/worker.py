"""A worker: bjoern on the inherited socket, and one timer.

Every tenth of a second a SIGALRM handler runs in bjoern's own loop, idle too: it
updates the heartbeat and the counts on the scoreboard, runs the follower, and ends
the worker when the supervisor has ended. A worker whose loop hangs has no heartbeat.
"""

import contextlib
import importlib
import logging
import os
import re
import resource
import signal
import socket
import threading
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import bjoern
import lmdb

from serve.processes import abort_on_corruption, request_short_timeslice
from serve.settings import ServeSettings
from serve.worker.app import WsgiApp
from serve.worker.follower import Follower
from serve.worker.state import WorkerState

log = logging.getLogger(__name__)

with contextlib.suppress(ImportError):  # py-lmdb's own, at the first open: not in every worker
    importlib.import_module("lmdb._envid")

TICK_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 5.0
_SHUT_EVERY_SECONDS: Final = 0.02


class Worker:
    """One worker process, from the fork to its end."""

    def __init__(
        self,
        slot: int,
        state: WorkerState,
        app: WsgiApp,
        listener: socket.socket,
        store: Path,
    ) -> None:
        """Take over the app that the supervisor has made: making one takes ten times as long.

        Args:
            slot: Number of the slot on the scoreboard.
            state: State of the app, serving nothing yet; this process's own copy, by the fork.
            app: Application of that state.
            listener: Listening socket.
            store: The store's directory.
        """
        self._slot = slot
        self._state = state
        self._app = app
        self._scoreboard = state.scoreboard
        self._listener = listener
        self._follower = Follower(state, store, f"worker {slot}")
        self._supervisor = os.getppid()
        self._is_serving = False
        self._is_draining = False
        self._is_following = False
        state.counts.continue_from(state.scoreboard.read_counts(slot))

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or until the supervisor has ended."""
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which ends us by SIGTERM
        request_short_timeslice()
        limit_resources(self._state.settings)
        signal.signal(signal.SIGTERM, lambda *_: self._drain())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # until bjoern's loop installs its handler
        signal.signal(signal.SIGALRM, lambda _, interrupted: self._tick(interrupted))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor had blocked them
        self._tick()
        signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
        self._is_serving = True
        self._scoreboard.mark_ready(self._slot)
        bjoern.server_run(self._listener, self._app)

    def _tick(self, interrupted: FrameType | None = None) -> None:
        # bjoern would swallow an exception here, and the next request would fail.
        try:
            if not _is_running(self._app.__code__, interrupted) or self._has_answered():
                self._scoreboard.beat(self._slot)
            self._scoreboard.write_counts(self._slot, self._state.counts)
            if not self._is_following:  # a slow look must not be interrupted by another one
                self._is_following = True
                try:
                    self._follower.look()
                finally:
                    self._is_following = False
            if os.getppid() != self._supervisor:
                self._drain()
        except lmdb.Error as error:
            abort_on_corruption(error)
        except Exception:
            log.exception("worker %d: timer failed, will retry", self._slot)

    def _has_answered(self) -> bool:
        """Return whether a request was answered since the last tick.

        A signal handler may also run in the middle of Python code. That it runs does not
        show that the worker is alive, if that code answers one request forever.
        """
        return self._state.counts.words() != self._scoreboard.read_counts(self._slot).words()

    def _drain(self) -> None:
        """Stop accepting, answer the pending requests, end.

        bjoern's own SIGINT handling waits forever for idle keep-alive connections.
        So each accepted socket is shut down for reading, which ends it after the
        answer that is on its way.
        """
        if not self._is_serving:
            os._exit(0)  # bjoern's loop, which would react to SIGINT, does not run yet
        if not self._is_draining:
            self._is_draining = True
            threading.Thread(target=self._shut_connections, daemon=True).start()

    def _shut_connections(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while _is_ignored(signal.SIGINT) and time.monotonic() < deadline:
            time.sleep(_SHUT_EVERY_SECONDS)  # bjoern's loop does not run yet
        os.kill(os.getpid(), signal.SIGINT)
        while time.monotonic() < deadline:
            time.sleep(_SHUT_EVERY_SECONDS)  # also first: a new connection may still send a request
            _shut_accepted()
            self._scoreboard.beat(self._slot)
        os._exit(0)


def limit_resources(settings: ServeSettings) -> None:
    """Limit this process's memory and files: a leak must not exhaust the machine."""
    n_bytes = settings.worker_memory_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))  # mapped files do not count
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.worker_descriptors or limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, limit), limit))


def _is_running(code: CodeType, frame: FrameType | None) -> bool:
    """Return whether a function runs in this frame or has called it."""
    while frame and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _is_ignored(number: signal.Signals) -> bool:
    """Return whether the kernel ignores a signal; Python sees only its own handlers."""
    [ignored] = re.findall(r"^SigIgn:\t(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(int(ignored, 16) >> (number - 1) & 1)


def _shut_accepted() -> None:
    """Shut down each accepted socket for reading; listening ones are shared."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as duplicate:
                    if not duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        duplicate.shutdown(socket.SHUT_RD)
