"""A worker: bjoern on the inherited socket, and one timer that looks at the shared page.

Every tenth of a second a SIGALRM handler runs in bjoern's own loop, idle too:
it beats the heart, opens the snapshot that the supervisor has verified, leaves
out what has been taken down, and notices when the supervisor is gone. A worker
whose loop hangs falls silent.
"""

import contextlib
import logging
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

import bjoern
import lmdb

from serve.app import MarqueeApp
from serve.changes import file_state
from serve.page import SharedPage
from serve.processes import die_of, end_with_parent
from serve.served import Served
from serve.settings import ServeSettings
from store.errors import StoreError
from store.recent import open_recent, recent_file
from store.snapshot import open_snapshot
from store.takedown import takedown_file, takedowns

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 5.0
_TRY_AGAIN_SECONDS: Final = 1.0
_SHUT_EVERY_SECONDS: Final = 0.02


class Worker:
    """One worker process, from after the fork to its end."""

    def __init__(
        self,
        place: int,
        page: SharedPage,
        listener: socket.socket,
        store: Path,
        settings: ServeSettings,
    ) -> None:
        self._place = place
        self._app = MarqueeApp(page, settings, page.read_counts(place))
        self._page = page
        self._listener = listener
        self._store = store
        self._settings = settings
        self._supervisor = os.getppid()
        self._takedown_state: tuple[int, ...] | None = None
        self._refused_takedowns: tuple[int, ...] | None = None
        self._read_takedowns_at = 0.0
        self._recent_inode = 0
        self._refused_recent: tuple[int, ...] | None = None
        self._look_at_recent_at = 0.0
        self._refused = 0  # a generation that this worker could not open
        self._try_again_at = 0.0
        self._is_serving = False
        self._is_draining = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or until the supervisor is gone."""
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which ends us by SIGTERM
        end_with_parent(signal.SIGTERM)
        limit(self._settings)
        signal.signal(signal.SIGTERM, lambda *_: self._drain())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # bjoern's loop hears it all the same
        signal.signal(signal.SIGALRM, lambda _, interrupted: self._tick(interrupted))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor had blocked them
        self._tick()
        signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
        self._is_serving = True
        self._page.say_ready(self._place)
        # The bound method: calling the app itself would look it up for each request.
        bjoern.server_run(self._listener, self._app.__call__)

    def _tick(self, interrupted: FrameType | None = None) -> None:
        # An exception here would be swallowed, and the next request would fail.
        try:
            if not _is_answering(interrupted) or self._has_answered():
                self._page.beat(self._place)
            self._page.write_counts(self._place, self._app.counts)
            self._hide()
            self._follow()
            self._open_recent()
            if os.getppid() != self._supervisor:
                self._drain()
        except lmdb.Error as error:
            die_of(error)
        except Exception:
            log.exception("worker %d: tick failed", self._place)

    def _has_answered(self) -> bool:
        """Tell whether an answer was made since the last tick.

        A handler of signals runs in the midst of Python code, too, so that it runs is
        no proof of life while one request is being answered for ever.
        """
        return self._app.counts.words() != self._page.read_counts(self._place).words()

    def _follow(self) -> None:
        """Serve the generation that stands on the page."""
        wanted = self._page.generation
        served = self._app.served
        if wanted == (served.generation if served else 0):
            return
        if wanted == self._refused and time.monotonic() < self._try_again_at:
            return
        try:
            # The old snapshot closes when the last answer out of it is done: by reference count.
            snapshot = open_snapshot(self._store, wanted, verified=True)
            self._app.served = Served(snapshot, self._app.hidden)
            log.info("worker %d serves generation %d", self._place, wanted)
        except (StoreError, OSError) as error:
            self._refused, self._try_again_at = wanted, time.monotonic() + _TRY_AGAIN_SECONDS
            log.error("worker %d stays with what it has: %s", self._place, error)  # noqa: TRY400

    def _hide(self) -> None:
        """Leave out what has been taken down; the file is replaced whole, so its state tells."""
        state = file_state(takedown_file(self._store))
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
                log.error("worker %d keeps to the last takedowns: %s", self._place, error)  # noqa: TRY400
            return
        self._takedown_state = state
        if not hidden and not self._app.hidden:
            return
        self._app.hidden = frozenset(item_id.encode() for item_id in hidden)
        if served := self._app.served:
            self._app.served = Served(served.snapshot, self._app.hidden)
        log.info("worker %d leaves out %d items", self._place, len(self._app.hidden))

    def _open_recent(self) -> None:
        """Follow the file of recent views: it may come, go, and be replaced."""
        now = time.monotonic()
        if now < self._look_at_recent_at:
            return
        self._look_at_recent_at = now + _TRY_AGAIN_SECONDS
        state = file_state(recent_file(self._store))
        inode = state[0] if state else 0
        if inode == self._recent_inode and (self._app.recent or not inode):
            return
        if state and state == self._refused_recent:
            return
        if self._app.recent:
            self._app.recent.close()  # LMDB must not have a file open twice
            self._app.recent = None
        self._recent_inode = inode
        try:
            self._app.recent = open_recent(self._store)
        except StoreError as error:
            self._refused_recent = state
            log.warning("worker %d goes without recent views: %s", self._place, error)

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
            time.sleep(_SHUT_EVERY_SECONDS)  # at first, too: whoever has just connected will ask
            _shut_accepted()
            self._page.beat(self._place)
        os._exit(0)


def _is_answering(frame: FrameType | None) -> bool:
    while frame and frame.f_code is not MarqueeApp.__call__.__code__:
        frame = frame.f_back
    return frame is not None


def limit(settings: ServeSettings) -> None:
    """Bound what this process may take: a leak must not take the machine with it."""
    n_bytes = settings.worker_memory_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))  # mapped files do not count
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.worker_descriptors or most
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))


def _shut_accepted() -> None:
    """Shut each accepted socket for reading. Listening ones are not ours alone."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as duplicate:
                    if not duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        duplicate.shutdown(socket.SHUT_RD)
