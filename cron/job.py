"""One run of a command: a child process that is never left behind.

    scheduler ──► child, leader of its own session ──► its own children
                  time-out or stop: SIGTERM to the process group, SIGKILL 10 s later
                  the scheduler dies, even by SIGKILL: the kernel sends the child SIGKILL

A session of its own keeps a Ctrl-C at the terminal from reaching the child
directly, and makes one process group of the child and its children.
"""

import contextlib
import ctypes
import enum
import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from store.stop import StopRequest

_POLL_SECONDS: Final = 0.1
_STDERR: Final = 2
_AUTOGROUP: Final = "/proc/self/autogroup"  # sched(7)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LIBC: Final = ctypes.CDLL(None)  # loaded here: little is allowed between fork and exec

_log = logging.getLogger(__name__)


class Ending(enum.StrEnum):
    """How a run ended, as it reads after "refresh" in the log."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Run:
    """One run that is over.

    Attributes:
        ending: Way in which the run ended.
        status: Exit status, -N after signal N, None if it could not be started.
        seconds: Duration of the run.
    """

    ending: Ending
    status: int | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the command ended with status 0."""
        return self.ending is Ending.SUCCEEDED


def run_child(
    command: Sequence[str],
    stop: StopRequest,
    timeout_seconds: float,
    grace_seconds: float = 10.0,
    nice: int = 0,
) -> Run:
    """Run `command` to its end, the time-out or the request to stop.

    Its output goes to this process's standard error. No process of its group is left.

    Args:
        command: Program and its arguments.
        stop: Request that ends the run early.
        timeout_seconds: Time after which the run is ended.
        grace_seconds: Time between SIGTERM and SIGKILL.
        nice: Increment of the niceness for the child.
    """
    began = time.monotonic()
    try:
        child = _start(command, nice)
    except OSError as error:
        _log.error("cannot start %s: %s", shlex.join(command), error)
        return Run(Ending.FAILED, None, time.monotonic() - began)
    try:
        ending = _watch(child, stop, began + timeout_seconds)
    finally:
        _end(child, grace_seconds)
    return Run(ending, child.returncode, time.monotonic() - began)


def _start(command: Sequence[str], nice: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,
        start_new_session=True,
        preexec_fn=_prepared(os.getpid(), nice),
    )


def _prepared(parent: int, nice: int) -> Callable[[], None]:
    """Return what runs in the child before exec: lower its priority, tie its life to `parent`."""

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # `parent` died before prctl was called
            os._exit(1)
        os.nice(nice)
        with contextlib.suppress(OSError), open(_AUTOGROUP, "w") as group:  # noqa: PTH123
            group.write(str(nice))  # Linux may weigh whole sessions by this value alone

    return prepare


def _watch(child: subprocess.Popen[bytes], stop: StopRequest, deadline: float) -> Ending:
    """Return how the run ends; after TIMED_OUT and STOPPED the child is still running."""
    while child.poll() is None:
        if time.monotonic() >= deadline:
            return Ending.TIMED_OUT
        if stop.wait(_POLL_SECONDS):
            return Ending.STOPPED
    return Ending.FAILED if child.returncode else Ending.SUCCEEDED


def _end(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End the rest of the child's process group; SIGTERM first if the child is still running."""
    if child.poll() is None:
        _signal_group(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_seconds)
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # no process left
        os.killpg(child.pid, number)
