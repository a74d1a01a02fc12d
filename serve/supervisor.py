"""The supervisor: one process that serves nothing, so that the others always can.

It owns the listening socket, keeps the workers alive, and looks for a new
`CURRENT`. A new snapshot is verified once, in a child of its own, so that a
second of hashing never delays a respawn; then its number goes onto the shared
page, and every worker follows within a tenth of a second.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from serve.app import MarqueeApp
from serve.errors import ServeError
from serve.page import SharedPage
from serve.settings import ServeSettings
from serve.worker import Worker
from store.errors import NoSnapshotError, StoreError
from store.journal import flips
from store.layout import generations, snapshot_folder
from store.manifest import verify
from store.pointer import current

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2
_SILENT_SECONDS: Final = 3.0  # of a worker's main loop, then it is taken for hung
_SOON_SECONDS: Final = 1.0  # a worker that dies younger is respawned ever more slowly
_BACKOFF_SECONDS: Final = (0.0, 0.1, 0.5, 1.0, 5.0)
_STOP_SECONDS: Final = 7.0
_TRY_AGAIN_SECONDS: Final = 30.0  # a refused snapshot: somebody may have mended it
_BACKLOG: Final = 4096

_BAD: Final = 1  # exit status of a verification that refused


@dataclass(slots=True)
class _Slot:
    """The place of one worker, whichever process fills it.

    Attributes:
        pid: 0 while nobody does.
        started_at: Of that process, on the monotonic clock.
        n_early_deaths: In a row.
        respawn_at: Not before then.
    """

    pid: int = 0
    started_at: float = 0.0
    n_early_deaths: int = 0
    respawn_at: float = 0.0


class Supervisor:
    """Runs the server until SIGTERM or SIGINT."""

    def __init__(self, store: Path, settings: ServeSettings) -> None:
        n_workers = settings.workers or len(os.sched_getaffinity(0))
        self._store = store
        self._settings = settings
        self._page = SharedPage(n_workers)
        self._slots = [_Slot() for _ in range(n_workers)]
        self._listener = listen(settings.host, settings.port)
        self._verifying: tuple[int, int] | None = None  # pid, generation
        self._refused: dict[int, float] = {}  # generation: when

    def run(self) -> None:
        """Serve; return when every worker has drained."""
        waited_for = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
        # Workers inherit this and undo it once their own handlers stand.
        signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
        host, port = self._listener.getsockname()[:2]
        log.info("serving on http://%s:%d, %d workers, bare", host, port, len(self._slots))
        self._look()
        while True:
            # At the start requests wait in the backlog for the first verification:
            # a second late is better than a 503.
            if self._page.generation or not self._verifying:
                self._fill_slots()
            arrived = signal.sigtimedwait(waited_for, _POLL_SECONDS)
            if arrived and arrived.si_signo != signal.SIGCHLD:
                break
            self._reap()
            self._kill_hung()
            self._look()
        self._stop()

    # Workers

    def _fill_slots(self) -> None:
        now = time.monotonic()
        for number, slot in enumerate(self._slots):
            if not slot.pid and now >= slot.respawn_at:
                self._page.beat(number)
                slot.started_at = now
                try:
                    slot.pid = _fork(lambda number=number: self._become_worker(number))  # type: ignore[misc]
                except OSError as error:
                    slot.respawn_at = now + _SOON_SECONDS
                    log.error("worker %d cannot be started: %s", number, error)  # noqa: TRY400

    def _become_worker(self, number: int) -> int:
        app = MarqueeApp(self._page, self._settings.emergency_list)
        Worker(number, app, self._page, self._listener, self._store).run()
        return 0

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if self._verifying and pid == self._verifying[0]:
                    self._verified(os.waitstatus_to_exitcode(status))
                for number, slot in enumerate(self._slots):
                    if slot.pid == pid:
                        self._bury(number, slot, os.waitstatus_to_exitcode(status))

    def _bury(self, number: int, slot: _Slot, status: int) -> None:
        now = time.monotonic()
        died_early = now - slot.started_at < _SOON_SECONDS
        slot.n_early_deaths = slot.n_early_deaths + 1 if died_early else 0
        pause = _BACKOFF_SECONDS[min(slot.n_early_deaths, len(_BACKOFF_SECONDS) - 1)]
        slot.pid, slot.respawn_at = 0, now + pause
        log.warning("worker %d ended with %d; the next starts in %.1f s", number, status, pause)

    def _kill_hung(self) -> None:
        for number, slot in enumerate(self._slots):
            if slot.pid and self._page.seconds_since_beat(number) > _SILENT_SECONDS:
                log.warning("worker %d hangs and is killed", number)
                os.kill(slot.pid, signal.SIGKILL)
                self._page.beat(number)  # once is enough

    # Snapshots

    def _look(self) -> None:
        """Start to verify what should be served and is not yet."""
        if self._verifying:
            return
        try:
            wanted = current(self._store)
        except NoSnapshotError as error:
            wanted = None
            self._report(str(error))
        if wanted == self._page.generation:
            self._refused.clear()
            self._report("")
        elif (candidate := self._candidate(wanted)) is not None:
            with contextlib.suppress(OSError):  # no process to be had: the next look tries again
                pid = _fork(lambda: self._verify(candidate))
                self._verifying = pid, candidate

    def _candidate(self, wanted: int | None) -> int | None:
        """The current generation; while nothing is served, else one that was served before."""
        now = time.monotonic()
        instead = [] if self._page.generation else _published(self._store)
        for generation in (wanted, *instead):
            if generation and now - self._refused.get(generation, -1e9) > _TRY_AGAIN_SECONDS:
                return generation
        return None

    def _verify(self, generation: int) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # SIGTERM just ends this child
        try:
            verify(snapshot_folder(self._store, generation))
        except StoreError as error:
            self._report(str(error))
            return _BAD
        return 0

    def _verified(self, status: int) -> None:
        assert self._verifying is not None
        _, generation = self._verifying
        self._verifying = None
        if status == 0:
            self._refused.pop(generation, None)
            self._page.generation = generation
        else:
            self._refused[generation] = time.monotonic()
            if status != _BAD:
                self._report(f"generation {generation}: its verification ended with {status}")

    def _report(self, problem: str) -> None:
        """Put what is wrong on the page for `/healthz`, and into the log once."""
        if problem != self._page.problem:
            self._page.problem = problem
            log.error("%s", problem) if problem else log.info("the store is in order")

    # The end

    def _stop(self) -> None:
        log.info("stopping")
        deadline = time.monotonic() + _STOP_SECONDS
        pids = {slot.pid for slot in self._slots if slot.pid}
        if self._verifying:
            pids.add(self._verifying[0])
        _signal_all(pids, signal.SIGTERM)
        while pids and time.monotonic() < deadline:
            pids -= {pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]}
            time.sleep(0.01)
        _signal_all(pids, signal.SIGKILL)
        log.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """Open the one listening socket.

    Raises:
        ServeError: The address is taken, not ours, or not known.
    """
    try:
        listener = socket.create_server((host, port), backlog=_BACKLOG)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        raise ServeError(
            f"{host}:{port}",
            f"cannot listen: {error}",
            "choose another with --host and --port, or stop what listens there",
        ) from error
    listener.setblocking(False)  # several workers wake for one connection; one gets it
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
    return listener


def _published(store: Path) -> list[int]:
    """The kept generations that have been current, the last one first."""
    kept = set(generations(store))
    latest_first = dict.fromkeys(line.generation for line in reversed(flips(store)))
    return [generation for generation in latest_first if generation in kept]


def _fork(child: Callable[[], int]) -> int:
    pid = os.fork()
    return pid or _run_child(child)


def _run_child(child: Callable[[], int]) -> NoReturn:
    status = 70  # EX_SOFTWARE
    try:
        status = child()
    except BaseException:
        log.exception("child failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
