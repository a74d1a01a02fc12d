"""Child processes of the supervisor: started, reaped, and started again."""

import contextlib
import ctypes
import logging
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

log = logging.getLogger(__name__)

_SOON_SECONDS: Final = 0.2  # a process that dies younger is respawned ever more slowly
_TRY_AGAIN_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = (0.0, 0.1, 0.5, 1.0, 5.0)
_PR_SET_PDEATHSIG: Final = 1
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # the C library does not know it yet
_ATTRIBUTES: Final = "=IIQiIQQQ"  # struct sched_attr, its own size first
_TURN_NANOSECONDS: Final = 100_000  # the shortest that the kernel grants
_LIBC: Final = ctypes.CDLL(None)

CRASHES: Final = {
    -number
    for number in (
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT),
        *(signal.SIGILL, signal.SIGFPE, signal.SIGTRAP),
    )
}  # exit statuses of a process that came to harm by itself


class ChildProcess:
    """One process that runs as long as the server does, whichever process that is.

    Attributes:
        name: For the log.
        pid: 0 while none runs.
    """

    def __init__(self, name: str, child: Callable[[], int], pid: int = 0) -> None:
        self.name = name
        self.pid = pid
        self._child = child
        self._started_at = time.monotonic()
        self._n_early_deaths = 0
        self._respawn_at = 0.0

    def is_due(self) -> bool:
        """Tell whether none runs and the pause after the last death is over."""
        return not self.pid and time.monotonic() >= self._respawn_at

    def start(self) -> bool:
        """Start it; False if no process can be had at the moment."""
        self._started_at = time.monotonic()
        try:
            self.pid = fork(self._child)
        except OSError as error:
            self._respawn_at = self._started_at + _TRY_AGAIN_SECONDS
            log.error("%s cannot be started: %s", self.name, error)  # noqa: TRY400
            return False
        return True

    def ended(self, status: int, *, expected: bool = False) -> None:
        """Note that it ended with `status`."""
        self.pid = 0
        if expected:
            return
        died_early = time.monotonic() - self._started_at < _SOON_SECONDS
        self._n_early_deaths = self._n_early_deaths + 1 if died_early else 0
        pause = _BACKOFF_SECONDS[min(self._n_early_deaths, len(_BACKOFF_SECONDS) - 1)]
        self._respawn_at = time.monotonic() + pause
        log.warning("%s ended with %d; the next starts in %.1f s", self.name, status, pause)


def fork(child: Callable[[], int]) -> int:
    """Run `child` in a process of its own, which ends with what it returns.

    Raises:
        OSError: No process can be had.
    """
    return os.fork() or _run_child(child)


def become(program: str, *arguments: str, **environment: str) -> NoReturn:
    """Replace this child by another program, every signal unblocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execve(program, [program, *arguments], {**os.environ, **environment})  # noqa: S606


def abort_on_corruption(error: Exception) -> NoReturn:
    """End as a crash does.

    For what LMDB finds broken in a snapshot: after one error its long
    transaction answers nobody any more, and the supervisor hears of a death.
    """
    log.critical("the snapshot is broken, and this process ends: %s", error)
    os.abort()


def end_with_parent(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def request_short_timeslice() -> None:
    """Ask the scheduler for short turns: this process answers, and others wait for it.

    On one core nginx and a worker take turns at every request. A turn of the
    default length, 1.4 ms and more, lets requests pile up at the other. Programs
    that this process becomes, and its children, keep to it. Kernels before 6.12
    take no notice; where it is forbidden, or somebody has chosen another policy
    for us, all stays as it is.

    Source:
        sched_setattr(2); Linux 6.12, "sched/eevdf: Allow sched_setattr() to set slice".
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    policy, flags, priority, deadline, period = os.SCHED_OTHER, 0, 0, 0, 0
    fields = (policy, flags, nice, priority, _TURN_NANOSECONDS, deadline, period)
    attributes = struct.pack(_ATTRIBUTES, struct.calcsize(_ATTRIBUTES), *fields)
    _LIBC.syscall(number, 0, ctypes.c_char_p(attributes), 0)


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to those that still live."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _run_child(child: Callable[[], int]) -> NoReturn:
    status = 70  # EX_SOFTWARE
    try:
        status = child()
    except BaseException:
        log.exception("child failed")
    finally:
        # On a full disk this fails. Whoever came out of here would go on as a second supervisor.
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
