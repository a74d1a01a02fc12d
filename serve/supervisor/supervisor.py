"""The supervisor: one process that serves nothing, so that the others always can.

    clients ─► front ─► pool of workers        watch ─► shared page ─► every worker
               nginx    bjoern, each           CURRENT, verified once

It owns the listening sockets, keeps every process alive that should live, and
looks for a new `CURRENT`. SIGTERM drains all of them; SIGHUP replaces its own
program, and then every worker, one by one, with no request lost.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from serve.admin import run_admin
from serve.counting import Counts
from serve.processes import ChildProcess, become, fork, signal_all
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.supervisor.handover import Handover, own_command
from serve.supervisor.listeners import listen, listen_behind
from serve.supervisor.nginx import ReverseProxy
from serve.supervisor.pool import Pool
from serve.supervisor.snapshot_watcher import SnapshotWatcher
from serve.supervisor.static_list import StaticList
from serve.worker.app import MarqueeApp
from serve.worker.worker import Worker

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 7.0
_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


class Supervisor:
    """Runs the server until SIGTERM or SIGINT."""

    def __init__(
        self, store: Path, settings: ServeSettings, *, bare: bool, last: Handover | None = None
    ) -> None:
        """Open the sockets, or take over what the last program left.

        Raises:
            ServeError: The address cannot be had, nginx is missing, or the token unreadable.
        """
        if bare and settings.token():
            log.warning("a token is configured, but /admin/ needs the front")
            settings = dataclasses.replace(settings, admin_token="", admin_token_file="")
        # Workers inherit this and undo it once their own handlers stand.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        n_workers = settings.workers or len(os.sched_getaffinity(0))
        old = last.workers if last else {}
        self._store = store
        self._settings = settings
        self._n_workers = n_workers
        self._token = settings.token()
        self._page = Scoreboard(max(n_workers, *old, 0) + 1, last.page if last else None)
        self._app = MarqueeApp(self._page, settings, Counts())  # what every worker begins with
        self._sockets = _inherited(last)
        self._address = self._open_for_clients(last)
        self._front = None if bare else self._make_front(last)
        self._admin = ChildProcess("admin", self._become_admin, last.admin if last else 0)
        self._pool = Pool(n_workers, self._page, self._become_worker, old)
        self._watch = SnapshotWatcher(store, self._page, last.blocked_generations if last else ())
        if last:
            self._page.generation = last.generation
            signal_all([self._admin.pid] if self._admin.pid else [], signal.SIGTERM)
        self._static = StaticList(store, self._page, settings, self._front)
        self._parts = [part for part in (self._watch, self._static, self._front) if part]
        self._refused = ""  # what the disk said last
        self._checking = 0  # pid of the next program's rehearsal

    def run(self) -> None:
        """Serve; return when every process has ended."""
        host, port = self._sockets["clients"].getsockname()[:2]
        how = "behind nginx" if self._front else "bare: for loopback and trusted networks only"
        log.info("serving on http://%s:%d, %d workers, %s", host, port, self._n_workers, how)
        with self._retry_on_os_error():
            self._watch.look()
        while True:
            # At the start requests wait in the backlog for the first verification:
            # a second late is better than a 503.
            if self._page.generation or not self._watch.is_verifying:
                self._pool.keep_full()
                with self._retry_on_os_error():
                    self._keep_others()
            arrived = signal.sigtimedwait(_SIGNALS, _POLL_SECONDS)
            number = arrived.si_signo if arrived else None
            if number in (signal.SIGTERM, signal.SIGINT):
                break
            if number == signal.SIGHUP:
                self._check_next_program()
            self._reap()
            with self._retry_on_os_error():
                self._watch.look()
        self._stop()

    @contextlib.contextmanager
    def _retry_on_os_error(self) -> Iterator[None]:
        """Go on whatever the disk refuses: the next round may have it, and all depend on us."""
        try:
            yield
        except OSError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                log.error("not done, and tried again: %s", error)  # noqa: TRY400

    def _keep_others(self) -> None:
        self._static.keep()
        if self._front:
            self._front.keep()
            if self._token and self._admin.is_due():
                self._admin.start()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._retry_on_os_error():
                    self._buried(ended[0], os.waitstatus_to_exitcode(ended[1]))

    def _buried(self, pid: int, status: int) -> None:
        if pid == self._checking:
            self._rehearsed(status)
        elif any(part.ended(pid, status) for part in self._parts):
            pass
        elif pid == self._admin.pid:
            self._admin.ended(status, expected=status == -signal.SIGTERM)
        elif self._pool.reaped(pid, status):
            self._watch.crashed()

    # What the children become

    def _become_worker(self, place: int) -> int:
        listener = self._keep_only("workers" if self._front else "clients")
        Worker(place, self._app, listener, self._store).run()
        return 0

    def _become_admin(self) -> int:
        run_admin(self._keep_only("admin"), self._store, self._token)
        return 0

    def _keep_only(self, name: str) -> socket.socket:
        """Close, in a child, the listening sockets that are others' to answer."""
        for other in self._sockets.keys() - {name}:
            self._sockets[other].close()
        return self._sockets[name]

    # SIGHUP

    def _check_next_program(self) -> None:
        """Let a child find out whether the next program would start at all."""
        if self._checking:
            return
        log.info("SIGHUP: the new code and configuration are checked")
        command = [*own_command(), "--check"]
        with contextlib.suppress(OSError):  # no process to be had; the next SIGHUP may succeed
            self._checking = fork(lambda: become(*command))

    def _rehearsed(self, status: int) -> None:
        self._checking = 0
        if status:
            log.error("the new code or configuration does not start; the old goes on")
            return
        self._wait_for(self._watch.stop() | self._static.stop())
        log.info("the new program takes over")
        Handover(
            sockets={name: opened.fileno() for name, opened in self._sockets.items()},
            address=self._address,
            page=self._page.descriptor,
            generation=self._page.generation,
            blocked_generations=sorted(self._watch.blocked_generations),
            workers=self._pool.pids(),
            front=self._front.kept.pid if self._front else 0,
            admin=self._admin.pid,
            folder=str(self._front.folder) if self._front else "",
        ).become_next()

    # The beginning and the end

    def _open_for_clients(self, last: Handover | None) -> tuple[str, int]:
        wanted = self._settings.host, self._settings.port
        if last is None:
            self._sockets["clients"] = listen(*wanted)
        elif wanted != last.address:
            log.warning("the address stays %s:%d until the server is restarted", *last.address)
            return last.address
        return wanted

    def _make_front(self, last: Handover | None) -> ReverseProxy:
        clients = self._sockets["clients"]
        front = ReverseProxy(
            self._settings,
            clients.getsockname()[:2],
            clients.fileno(),
            n_workers=self._n_workers,
            folder=Path(last.folder) if last else None,
            pid=last.front if last else 0,
        )
        for name in ("workers", *(["admin"] if self._token else [])):
            if name not in self._sockets:
                self._sockets[name] = listen_behind(front.folder / f"{name}.sock")
        return front

    def _stop(self) -> None:
        log.info("stopping")
        if self._front:
            self._wait_for(self._front.stop())  # first, for it still asks the workers
        pids = {*self._pool.pids().values(), self._admin.pid, self._checking} - {0}
        signal_all(pids, signal.SIGTERM)
        self._wait_for(pids | self._watch.stop() | self._static.stop())
        if self._front:
            self._front.remove()
        log.info("stopped")

    def _wait_for(self, pids: set[int]) -> None:
        """Reap these children; those that take too long are killed."""
        deadline = time.monotonic() + _STOP_SECONDS
        while pids and time.monotonic() < deadline:
            pids = {pid for pid in pids if not os.waitpid(pid, os.WNOHANG)[0]}
            time.sleep(0.01)
        signal_all(pids, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def _inherited(last: Handover | None) -> dict[str, socket.socket]:
    found = {}
    for name, descriptor in (last.sockets if last else {}).items():
        os.set_inheritable(descriptor, False)
        found[name] = socket.socket(fileno=descriptor)
    return found
