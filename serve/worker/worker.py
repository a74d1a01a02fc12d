"""A worker: bjoern on the inherited socket, and one timer.

Every tenth of a second a SIGALRM handler runs in bjoern's own loop, idle too:
it beats the heart, shows the counts, lets the app follow what should be served,
and notices when the supervisor is gone. A worker whose loop hangs falls silent.
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
from types import FrameType
from typing import Final

import bjoern
import lmdb

from serve.processes import abort_on_corruption, end_with_parent, request_short_timeslice
from serve.settings import ServeSettings
from serve.worker.app import MarqueeApp
from serve.worker.follower import Follower

log = logging.getLogger(__name__)

with contextlib.suppress(ImportError):  # py-lmdb's own, at the first open: not in every worker
    importlib.import_module("lmdb._envid")

TICK_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 5.0
_SHUT_EVERY_SECONDS: Final = 0.02


class Worker:
    """One worker process, from after the fork to its end."""

    def __init__(
        self,
        place: int,
        app: MarqueeApp,
        listener: socket.socket,
        store: Path,
    ) -> None:
        """Take over the app that the supervisor has made: making one takes ten times as long.

        Args:
            place: On the shared page.
            app: Serves nothing yet; this process's own copy, by the fork.
            listener: Accepts from it.
            store: What it follows.
        """
        app.counts.go_on_from(app.page.read_counts(place))
        self._place = place
        self._app = app
        self._page = app.page
        self._listener = listener
        self._follower = Follower(app, store, f"worker {place}")
        self._supervisor = os.getppid()
        self._is_serving = False
        self._is_draining = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or until the supervisor is gone."""
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which ends us by SIGTERM
        end_with_parent(signal.SIGTERM)
        request_short_timeslice()
        limit(self._app.settings)
        signal.signal(signal.SIGTERM, lambda *_: self._drain())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # until bjoern's loop hears it
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
            self._follower.look()
            if os.getppid() != self._supervisor:
                self._drain()
        except lmdb.Error as error:
            abort_on_corruption(error)
        except Exception:
            log.exception("worker %d: tick failed", self._place)

    def _has_answered(self) -> bool:
        """Tell whether an answer was made since the last tick.

        A handler of signals runs in the midst of Python code, too, so that it runs is
        no proof of life while one request is being answered for ever.
        """
        return self._app.counts.words() != self._page.read_counts(self._place).words()

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
        while _is_ignored(signal.SIGINT) and time.monotonic() < deadline:
            time.sleep(_SHUT_EVERY_SECONDS)  # bjoern's loop, which hears it, does not run yet
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


def _is_ignored(number: signal.Signals) -> bool:
    """Tell what the kernel does with a signal; Python knows its own handlers alone."""
    [ignored] = re.findall(r"^SigIgn:\t(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(int(ignored, 16) >> (number - 1) & 1)


def _shut_accepted() -> None:
    """Shut each accepted socket for reading. Listening ones are not ours alone."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as duplicate:
                    if not duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        duplicate.shutdown(socket.SHUT_RD)
