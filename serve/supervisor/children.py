"""Child processes of the supervisor: started, reaped and started again."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from serve.processes import end_with_parent

log = logging.getLogger(__name__)

_EARLY_DEATH_SECONDS: Final = 0.2  # younger deaths in a row make the pauses longer
_RETRY_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = (0.0, 0.1, 0.5, 1.0, 5.0)
_EX_SOFTWARE: Final = 70

CRASHES: Final = {
    -number
    for number in (
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT),
        *(signal.SIGILL, signal.SIGFPE, signal.SIGTRAP),
    )
}  # exit statuses of a process that crashed by itself


class ChildProcess:
    """A child process that is restarted whenever it ends.

    Attributes:
        name: Name in the log.
        pid: Process id, 0 while it does not run.
    """

    def __init__(self, name: str, child: Callable[[], int], pid: int = 0) -> None:
        self.name = name
        self.pid = pid
        self._child = child
        self._started_at = time.monotonic()
        self._n_early_deaths = 0
        self._respawn_at = 0.0

    def is_due(self) -> bool:
        """Return whether it does not run and the pause after the last death is over."""
        return not self.pid and time.monotonic() >= self._respawn_at

    def start(self) -> bool:
        """Start it; return False if the system has no process to spare."""
        self._started_at = time.monotonic()
        try:
            self.pid = fork(self._child)
        except OSError as error:
            self._respawn_at = self._started_at + _RETRY_SECONDS
            log.error("%s: cannot be started: %s; will retry", self.name, error)  # noqa: TRY400
            return False
        return True

    def ended(self, status: int, *, expected: bool = False) -> None:
        """Record that it ended with `status`."""
        self.pid = 0
        if expected:
            return
        died_early = time.monotonic() - self._started_at < _EARLY_DEATH_SECONDS
        self._n_early_deaths = self._n_early_deaths + 1 if died_early else 0
        pause = _BACKOFF_SECONDS[min(self._n_early_deaths, len(_BACKOFF_SECONDS) - 1)]
        self._respawn_at = time.monotonic() + pause
        log.warning("%s ended with %d; restarting in %.1f s", self.name, status, pause)


def fork(child: Callable[[], int]) -> int:
    """Run `child` in a new process, whose exit status is its result; it ends with this one.

    Raises:
        OSError: The system has no process to spare.
    """
    parent = os.getpid()
    return os.fork() or _run_child(child, parent)


def become(program: str, *arguments: str, **environment: str) -> NoReturn:
    """Replace this child by another program, every signal unblocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execve(program, [program, *arguments], {**os.environ, **environment})  # noqa: S606


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those that still live."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _run_child(child: Callable[[], int], parent: int) -> NoReturn:
    status = _EX_SOFTWARE
    try:
        end_with_parent(parent)
        status = child()
    except BaseException:
        log.exception("child process failed")
    finally:
        # On a full disk this fails, and a child that returned would be a second supervisor.
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
