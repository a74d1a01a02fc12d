"""The supervisor: one process that answers no request, so that the others always can.

    clients ─► nginx ─► pool of workers        snapshot watcher ─► scoreboard ─► every worker
                 └────► pool of side workers   CURRENT, verified once
                        bjoern, each

It owns the listening sockets, restarts every process that ends, and follows
`CURRENT`. SIGTERM drains all processes; SIGHUP replaces its own program and then
every worker, one by one, without losing a request.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from serve.admin.process import run_admin, run_events, run_pages
from serve.processes import become_user
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.supervisor.changing_files import FRESH_LISTS, RECENT_VIEWS, ChangingFileWatcher
from serve.supervisor.children import ChildProcess, become, fork, signal_all
from serve.supervisor.handover import Handover, own_command
from serve.supervisor.listeners import bind, listen, listen_behind_nginx
from serve.supervisor.nginx import ReverseProxy, RunningProxy
from serve.supervisor.pool import Pool
from serve.supervisor.snapshot_watcher import SnapshotWatcher
from serve.supervisor.static_list import StaticList
from serve.worker.app import make_app
from serve.worker.state import WorkerState
from serve.worker.worker import Worker
from store.errors import MarqueeError

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 7.0
_UMASK: Final = 0o027  # logs and sockets are closed to other users
_SIDE_NICENESS: Final = 10  # where processors are few, lists go first
_ADMINS: Final = ("admin", "verifying", "events", "pages")
_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


class Supervisor:
    """Runs the server until SIGTERM or SIGINT."""

    def __init__(
        self, store: Path, settings: ServeSettings, *, bare: bool, previous: Handover | None = None
    ) -> None:
        """Open the sockets, or take over those of the previous program.

        Args:
            store: The store's directory.
            settings: The server's settings.
            bare: Whether to leave out nginx.
            previous: Note of the previous program after SIGHUP.

        Raises:
            ServeError: It cannot listen there, must not run as root, nginx is missing or
                rejects the configuration, or the token is unreadable.
        """
        os.umask(_UMASK)
        if bare and settings.token():
            log.warning("admin_token: ignored with --bare, since /admin/ needs nginx")
            settings = dataclasses.replace(settings, admin_token="", admin_token_file="")
        # Workers inherit this mask and undo it once their own handlers are installed.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        n_workers = settings.workers or len(os.sched_getaffinity(0))
        n_side_workers = 0 if bare else settings.side_workers
        slots = _Slots.of(n_workers, n_side_workers, previous)
        self._store = store
        self._settings = settings
        self._n_workers = n_workers
        self._sockets = _inherited_sockets(previous)
        self._address = self._open_for_clients(previous)  # while a low port may be taken
        become_user(settings.user)
        self._token = settings.token()
        self._admin_names = _admin_names(settings)
        self._scoreboard = Scoreboard(slots.side.stop, slots.scoreboard)
        self._first_side_slot = slots.side.start
        self._state = WorkerState(settings, self._scoreboard)  # each worker's copy, by the fork
        self._app = make_app(self._state)
        self._proxy = None if bare else self._make_proxy(previous)
        self._admins = self._make_admins(previous)
        self._pool = self._make_pool(n_workers, slots.old, range(slots.side.start))
        self._side_pool = self._make_pool(n_side_workers, slots.old_side, slots.side)
        blocked, shards = previous.blocked_generations if previous else (), settings.open_shards
        self._watcher = SnapshotWatcher(store, self._scoreboard, blocked, shards=shards)
        if previous:
            self._scoreboard.generation = previous.generation
            self._watcher.verify_again()
            self._end_admins()
        self._static_list = StaticList(store, self._scoreboard, settings, self._proxy)
        self._fresh = ChangingFileWatcher(
            FRESH_LISTS, store, self._scoreboard, self._watcher.worker_crashed
        )
        self._recent = ChangingFileWatcher(
            RECENT_VIEWS, store, self._scoreboard, self._fresh.worker_crashed
        )
        parts = (self._watcher, self._recent, self._fresh, self._static_list, self._proxy)
        self._parts = [part for part in parts if part]
        self._disk_error = ""  # the last one logged
        self._checking = 0  # pid of the check of the next program
        if previous is None:  # last: clients that connect from now on get an answer
            listen(self._sockets["clients"], *self._address)

    def run(self) -> None:
        """Serve; return when every process has ended."""
        host, port = self._sockets["clients"].getsockname()[:2]
        how = "bare: for loopback and trusted networks only"
        if self._proxy:
            how = f"behind nginx, {self._settings.side_workers} more for expensive requests"
        log.info("serving on http://%s:%d, %d workers, %s", host, port, self._n_workers, how)
        with self._retry_on_error():
            self._watcher.look()
        while True:
            # At the start requests wait in the backlog for the first verification:
            # a second late is better than a 503.
            if self._scoreboard.generation or not self._watcher.is_verifying:
                self._pool.keep_full()
                self._side_pool.keep_full()
                with self._retry_on_error():
                    self._keep_others()
            arrived = signal.sigtimedwait(_SIGNALS, _POLL_SECONDS)
            number = arrived.si_signo if arrived else None
            if number in (signal.SIGTERM, signal.SIGINT):
                break
            if number == signal.SIGHUP:
                self._check_next_program()
            self._reap()
            with self._retry_on_error():
                self._watcher.look()
        self._stop()

    @contextlib.contextmanager
    def _retry_on_error(self) -> Iterator[None]:
        """Log an error and continue: the next round tries again, and must take place.

        Whatever a file of the store holds, it must not end this process.
        """
        try:
            yield
        except (OSError, ValueError, MarqueeError) as error:
            if str(error) != self._disk_error:
                self._disk_error = str(error)
                log.error("disk error, will retry: %s", error)  # noqa: TRY400

    def _keep_others(self) -> None:
        self._static_list.keep()
        self._recent.look()
        self._fresh.look()
        if self._proxy:
            self._proxy.keep()
            for name in self._admin_names:
                if self._admins[name].is_due():
                    self._admins[name].start()
            self._proxy.make_parts_again()
            self._open_removed_sockets(self._proxy.runtime_dir)

    def _open_removed_sockets(self, folder: Path) -> None:
        """Open the sockets anew whose names a cleaner of old files has removed."""
        for name in self._sockets.keys() - {"clients"}:
            if (folder / f"{name}.sock").exists():
                continue
            log.warning("%s.sock: has been removed; opened anew", name)
            removed = self._sockets[name]
            self._sockets[name] = listen_behind_nginx(folder / f"{name}.sock")
            removed.close()
            if name == "workers":
                self._pool.replace_all()
            elif name == "side_workers":
                self._side_pool.replace_all()
            else:
                self._end_admins()

    def _end_admins(self) -> None:
        """End the admin processes; new ones follow."""
        signal_all([one.pid for one in self._admins.values() if one.pid], signal.SIGTERM)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._retry_on_error():
                    self._reaped(ended[0], os.waitstatus_to_exitcode(ended[1]))

    def _reaped(self, pid: int, status: int) -> None:
        if pid == self._checking:
            self._checked(status)
        elif any(part.ended(pid, status) for part in self._parts):
            pass
        elif admin := next((one for one in self._admins.values() if one.pid == pid), None):
            admin.ended(status, expected=status == -signal.SIGTERM)
        elif self._pool.reaped(pid, status) or self._side_pool.reaped(pid, status):
            self._recent.worker_crashed()

    # The main functions of the children

    def _become_worker(self, slot: int) -> int:
        name = "workers" if self._proxy else "clients"
        if slot >= self._first_side_slot:
            name = "side_workers"
            os.nice(_SIDE_NICENESS)
        listener = self._keep_only(name)
        Worker(slot, self._state, self._app, listener, self._store).run()
        return 0

    def _become_admin(self, name: str) -> int:
        listener = self._keep_only(name)
        if name == "events":
            run_events(listener, self._store, self._token, self._settings)
        elif name == "pages":
            run_pages(listener, self._store, self._token, self._settings, self._scoreboard)
        else:
            run_admin(listener, self._store, self._token)
        return 0

    def _keep_only(self, name: str) -> socket.socket:
        """Close, in a child, the listening sockets of other processes."""
        for other in self._sockets.keys() - {name}:
            self._sockets[other].close()
        return self._sockets[name]

    # SIGHUP

    def _check_next_program(self) -> None:
        """Check in a child whether the next program would start."""
        if self._checking:
            return
        log.info("SIGHUP: checking the new code and configuration")
        command = [*own_command(), "--check"]
        with contextlib.suppress(OSError):  # no process to spare; the next SIGHUP may succeed
            self._checking = fork(lambda: become(*command))

    def _checked(self, status: int) -> None:
        self._checking = 0
        if status:
            log.error("reload rejected, the running version stays; correct what is named above")
            return
        self._wait_for(self._stop_checks())
        log.info("reload accepted: the new program takes over")
        Handover(
            sockets={name: opened.fileno() for name, opened in self._sockets.items()},
            address=self._address,
            scoreboard=self._scoreboard.descriptor,
            generation=self._scoreboard.generation,
            blocked_generations=sorted(self._watcher.blocked_generations),
            workers=self._pool.pids(),
            nginx=self._proxy.process.pid if self._proxy else 0,
            admin=self._admins["admin"].pid,
            verifying=self._admins["verifying"].pid,
            events=self._admins["events"].pid,
            pages=self._admins["pages"].pid,
            runtime_dir=str(self._proxy.runtime_dir) if self._proxy else "",
            side_workers=self._side_pool.pids(),
            first_side_slot=self._first_side_slot,
        ).become_next()

    # Start and stop

    def _open_for_clients(self, previous: Handover | None) -> tuple[str, int]:
        configured = self._settings.host, self._settings.port
        if previous is None:
            self._sockets["clients"] = bind(*configured)
        elif configured != previous.address:
            log.warning(
                "host and port: still %s:%d; restart the server to change them", *previous.address
            )
            return previous.address
        return configured

    def _make_pool(self, n_workers: int, old: Mapping[int, int], slots: range) -> Pool:
        return Pool(n_workers, self._scoreboard, self._become_worker, old, slots)

    def _make_admins(self, previous: Handover | None) -> dict[str, ChildProcess]:
        """Return all of them, also those that no longer run, as children of the last program."""
        return {
            name: ChildProcess(
                name, partial(self._become_admin, name), getattr(previous, name) if previous else 0
            )
            for name in _ADMINS
        }

    def _make_proxy(self, previous: Handover | None) -> ReverseProxy:
        running = RunningProxy(previous.nginx, Path(previous.runtime_dir)) if previous else None
        proxy = ReverseProxy(
            self._settings, self._sockets["clients"], n_workers=self._n_workers, running=running
        )
        for name in ("workers", "side_workers", *self._admin_names):
            if name not in self._sockets:
                self._sockets[name] = listen_behind_nginx(proxy.runtime_dir / f"{name}.sock")
        return proxy

    def _stop(self) -> None:
        log.info("stopping")
        if self._proxy:
            self._wait_for(self._proxy.stop())  # first, since it still needs the workers
        workers = self._pool.pids() | self._side_pool.pids()
        admins = (admin.pid for admin in self._admins.values())
        pids = {*workers.values(), *admins, self._checking} - {0}
        signal_all(pids, signal.SIGTERM)
        pids |= self._stop_checks()
        self._wait_for(pids)
        if self._proxy:
            self._proxy.remove()
        log.info("stopped")

    def _stop_checks(self) -> set[int]:
        """End the checks of files, and return their pids."""
        parts = (self._watcher, self._recent, self._fresh, self._static_list)
        return set[int]().union(*(part.stop() for part in parts))

    def _wait_for(self, pids: set[int]) -> None:
        """Reap these children; kill those that take too long."""
        deadline = time.monotonic() + _STOP_SECONDS
        while pids and time.monotonic() < deadline:
            pids = {pid for pid in pids if not os.waitpid(pid, os.WNOHANG)[0]}
            time.sleep(0.01)
        signal_all(pids, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


@dataclass(frozen=True, slots=True)
class _Slots:
    """The slots of both pools, those of the workers for lists first.

    Attributes:
        side: Slots of the side workers; the others come before.
        old: Pids of the workers for lists of the last program, by slot.
        old_side: Pids of its side workers, by slot.
        scoreboard: File descriptor of its scoreboard; None if its workers may not write there.
    """

    side: range
    old: dict[int, int]
    old_side: dict[int, int]
    scoreboard: int | None

    @classmethod
    def of(cls, n_workers: int, n_side_workers: int, previous: Handover | None) -> Self:
        """Lay out the slots, each pool's old workers in slots of the same pool."""
        old = previous.workers if previous else {}
        old_side = previous.side_workers if previous else {}
        begin = max(n_workers, *old, 0) + 1
        is_same = previous is not None and previous.first_side_slot in (0, begin)
        if not is_same:
            old_side = dict(enumerate(old_side.values(), begin))
        n_more = n_side_workers + 1 if n_side_workers else 0
        end = max(begin + n_more, *(slot + 1 for slot in old_side), 0)
        scoreboard = previous.scoreboard if previous and is_same else None
        return cls(range(begin, end), old, old_side, scoreboard)


def _admin_names(settings: ServeSettings) -> tuple[str, ...]:
    """Return the admin processes that these settings need."""
    names: tuple[str, ...] = ()
    if settings.token():
        names = ("admin", "verifying", "events") if settings.spool_mib else ("admin", "verifying")
    return names if settings.pages == "off" else (*names, "pages")


def _inherited_sockets(previous: Handover | None) -> dict[str, socket.socket]:
    sockets = {}
    for name, descriptor in (previous.sockets if previous else {}).items():
        os.set_inheritable(descriptor, False)
        sockets[name] = socket.socket(fileno=descriptor)
    return sockets
