"""A worker: bjoern on the inherited socket, and one timer that looks at the shared page.

Every tenth of a second a SIGALRM handler runs in bjoern's own loop, idle too:
it beats the heart, opens the snapshot that the supervisor has verified, leaves
out what has been taken down, and notices when the supervisor is gone. A worker
whose loop hangs falls silent.
"""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Final

import bjoern

from serve.app import MarqueeApp, Served
from serve.page import SharedPage
from store.errors import StoreError
from store.snapshot import open_snapshot
from store.takedown import takedown_file, takedowns

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 5.0
_TRY_AGAIN_SECONDS: Final = 1.0
_SHUT_EVERY_SECONDS: Final = 0.02
_PR_SET_PDEATHSIG: Final = 1


class Worker:
    """One worker process, from after the fork to its end."""

    def __init__(
        self, number: int, app: MarqueeApp, page: SharedPage, listener: socket.socket, store: Path
    ) -> None:
        self._number = number
        self._app = app
        self._page = page
        self._listener = listener
        self._store = store
        self._supervisor = os.getppid()
        self._takedown_state: tuple[int, ...] | None = None
        self._refused_takedowns: tuple[int, ...] | None = None
        self._read_takedowns_at = 0.0
        self._refused = 0  # a generation that this worker could not open
        self._try_again_at = 0.0
        self._is_serving = False
        self._is_draining = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or until the supervisor is gone."""
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which ends us by SIGTERM
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: self._drain())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # bjoern's loop hears it all the same
        signal.signal(signal.SIGALRM, lambda *_: self._tick())
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor had blocked them
        self._tick()
        signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
        self._is_serving = True
        bjoern.server_run(self._listener, self._app)

    def _tick(self) -> None:
        # An exception here would be swallowed, and the next request would fail.
        try:
            self._page.beat(self._number)
            self._hide()
            self._follow()
            if os.getppid() != self._supervisor:
                self._drain()
        except Exception:
            log.exception("worker %d: tick failed", self._number)

    def _follow(self) -> None:
        """Serve the generation that stands on the page."""
        wanted = self._page.generation
        served = self._app.served
        if wanted == (served.snapshot.generation if served else 0):
            return
        if wanted == self._refused and time.monotonic() < self._try_again_at:
            return
        try:
            # The old snapshot closes when the last answer out of it is done: by reference count.
            snapshot = open_snapshot(self._store, wanted, verified=True)
            self._app.served = Served.of(snapshot, self._app.hidden)
            log.info("worker %d serves generation %d", self._number, wanted)
        except (StoreError, OSError) as error:
            self._refused, self._try_again_at = wanted, time.monotonic() + _TRY_AGAIN_SECONDS
            log.error("worker %d stays with what it has: %s", self._number, error)  # noqa: TRY400

    def _hide(self) -> None:
        """Leave out what has been taken down; the file is replaced whole, so its state tells."""
        state = _state(takedown_file(self._store))
        if state == self._takedown_state:
            return
        if time.monotonic() < self._read_takedowns_at:
            return
        try:
            hidden = takedowns(self._store)
        except StoreError as error:
            # Tried again, for a worker that has just started hides nothing yet.
            self._read_takedowns_at = time.monotonic() + _TRY_AGAIN_SECONDS
            if state != self._refused_takedowns:  # once for each file, not every second
                self._refused_takedowns = state
                log.error("worker %d keeps to the last takedowns: %s", self._number, error)  # noqa: TRY400
            return
        self._takedown_state = state
        self._app.hidden = frozenset(item_id.encode() for item_id in hidden)
        if served := self._app.served:
            self._app.served = Served.of(served.snapshot, self._app.hidden)
        log.info("worker %d leaves out %d items", self._number, len(self._app.hidden))

    def _drain(self) -> None:
        """Stop accepting, answer what has been asked, end.

        bjoern's own SIGINT handling waits for idle keep-alive connections for
        ever; so each accepted socket is shut for reading, which ends it after
        the answer that is on its way.
        """
        if not self._is_serving:
            os._exit(0)  # bjoern's loop, which would hear the SIGINT, does not run yet
        if not self._is_draining:
            self._is_draining = True
            threading.Thread(target=self._shut_connections, daemon=True).start()

    def _shut_connections(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        deadline = time.monotonic() + _DRAIN_SECONDS
        os.kill(os.getpid(), signal.SIGINT)
        while time.monotonic() < deadline:
            for descriptor in _accepted(self._listener.fileno()):
                with contextlib.suppress(OSError):
                    _shut_for_reading(descriptor)
            time.sleep(_SHUT_EVERY_SECONDS)
        os._exit(0)


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _accepted(listener: int) -> list[int]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(entry.readlink()).startswith("socket:") and int(entry.name) != listener:
                found.append(int(entry.name))
    return found


def _shut_for_reading(descriptor: int) -> None:
    duplicate = socket.socket(fileno=os.dup(descriptor))
    try:
        duplicate.shutdown(socket.SHUT_RD)
    finally:
        duplicate.close()
