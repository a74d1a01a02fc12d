"""One run of a command: a child process that is never left behind.

    scheduler ──► child, leader of its own session ──► its own children
                  time-out or stop: SIGTERM to the process group, SIGKILL 10 s later
                  the scheduler dies, even by SIGKILL: the kernel sends the child SIGKILL,
                  and `cron.leftovers` ends the others at the next start

A session of its own keeps a Ctrl-C at the terminal from reaching the child
directly, and makes one process group of the child and its children.
"""

import contextlib
import ctypes
import enum
import logging
import os
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from store.stop import StopRequest

GRACE_SECONDS: Final = 10.0  # between SIGTERM and SIGKILL
_POLL_SECONDS: Final = 0.1
_AUTOGROUP: Final = "/proc/self/autogroup"  # sched(7)
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_prctl: Final = ctypes.CDLL(None).prctl  # found here: little is allowed between fork and exec

_log = logging.getLogger(__name__)


class Ending(enum.StrEnum):
    """How a run ended, as it reads after the name of its job in the log."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused by the gate"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Run:
    """One run that is over.

    Attributes:
        ending: Way in which the run ended: succeeded, failed, timed out or stopped.
        status: Exit status, -N after signal N, None if it could not be started.
        seconds: Duration of the run.
    """

    ending: Ending
    status: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a run.

    Attributes:
        timeout_seconds: Time after which it is ended.
        memory_mib: Private memory of each of its processes in MiB; 0: any.
        nice: Increment of its niceness.
    """

    timeout_seconds: float
    memory_mib: float = 0.0
    nice: int = 0


class Child:
    """A running command.

    Args:
        command: Program and its arguments.
        limits: Limits of the run.
        output: Descriptor of the file for its output.
        given: Bytes on its standard input.
        environment: Variables beside those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        output: int,
        given: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._deadline = self._began + limits.timeout_seconds
        self._killed_at = 0.0  # when SIGKILL follows; 0 before SIGTERM
        self._ending: Ending | None = None
        self._process: subprocess.Popen[bytes] | None = None
        given_file = os.memfd_create("stdin")  # no disk is needed, and no pipe can fill up
        try:
            os.pwrite(given_file, given, 0)
            self._process = subprocess.Popen(
                command,
                stdin=given_file,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_prepared(os.getpid(), limits),
            )
        except OSError as error:
            _log.error("cannot start %s: %s", shlex.join(command), error)
        finally:
            os.close(given_file)

    def poll(self) -> Run | None:
        """Return the run once it is over, None before; it never waits.

        No process of its group is left then.
        """
        if self._process is None:
            return Run(Ending.FAILED, None, time.monotonic() - self._began)
        if self._process.poll() is None:
            self._check_time(self._process)
            return None
        _signal_group(self._process, signal.SIGKILL)
        status = self._process.returncode
        ending = self._ending or (Ending.FAILED if status else Ending.SUCCEEDED)
        return Run(ending, status, time.monotonic() - self._began)

    def stop(self, ending: Ending = Ending.STOPPED) -> None:
        """Ask it to end; what still runs after the grace is killed at the next polls."""
        if self._process is not None and self._ending is None:
            self._ending = ending
            self._killed_at = time.monotonic() + GRACE_SECONDS
            _signal_group(self._process, signal.SIGTERM)

    def wait(self, stop: StopRequest) -> Run:
        """Return the run when it is over; a request to stop ends it."""
        while (run := self.poll()) is None:
            if stop.wait(_POLL_SECONDS):
                self.stop()
                time.sleep(_POLL_SECONDS)  # `stop` stays set, so it no longer waits
        return run

    def _check_time(self, process: subprocess.Popen[bytes]) -> None:
        now = time.monotonic()
        if self._ending is None and now >= self._deadline:
            self.stop(Ending.TIMED_OUT)
        elif self._ending is not None and now >= self._killed_at:
            _signal_group(process, signal.SIGKILL)


def _prepared(parent: int, limits: Limits) -> Callable[[], None]:
    """Return what runs in the child before exec: its limits, and its life tied to `parent`."""
    n_bytes = int(limits.memory_mib * (1 << 20))

    def prepare() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # `parent` died before prctl was called
            os._exit(1)
        os.nice(limits.nice)
        with contextlib.suppress(OSError), open(_AUTOGROUP, "w") as group:  # noqa: PTH123
            group.write(str(limits.nice))  # Linux may weigh whole sessions by this value alone
        if n_bytes:  # private memory: mapped files, such as a store, do not count
            resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))

    return prepare


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # no process left
        os.killpg(child.pid, number)
