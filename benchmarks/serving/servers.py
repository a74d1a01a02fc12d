"""Processes that serve, all on one core, until the `with` ends."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.serving.errors import RefusedError

_STOP_SECONDS: Final = 15.0
_SESSION, _USER_TICKS, _SYSTEM_TICKS = 3, 11, 12  # in /proc/PID/stat, behind the name
_SHOWN_CHARACTERS: Final = 400  # of the log of one that failed


@dataclass(frozen=True, slots=True)
class Command:
    """One process of a subject.

    Attributes:
        arguments: The program, by its path or to be found in PATH, and its arguments.
        environment: Added to that of the benchmark.
        stdin: What it is given to read.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""


class Servers:
    """The processes of one subject.

    Args:
        name: The subject's.
        commands: Started in this order, ended in the other.
        core: That they are held on, children and all.
        folder: Their working directory; their logs go there.
        environment: Of all of them.
    """

    def __init__(
        self,
        name: str,
        commands: Sequence[Command],
        *,
        core: int,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._name = name
        self._commands = commands
        self._core = core
        self._log = folder / f"{name}.log"
        self._environment = environment
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for command in self._commands:
                self._start(command)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def check(self) -> None:
        """See that all of them run.

        Raises:
            RefusedError: One has ended.
        """
        for process in self._processes:
            if (status := process.poll()) is not None:
                log = self._log.read_text(errors="replace").strip()
                what = f"ended with {status}: {log[-_SHOWN_CHARACTERS:]}"
                raise RefusedError(self._name, what)

    def core_seconds(self) -> float:
        """Return how long all of them, children too, have had a core."""
        sessions = {process.pid for process in self._processes}
        n_ticks = 0
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # one that has just ended
                if entry.name.isdecimal():
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[_SESSION]) in sessions:
                        n_ticks += int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
        return n_ticks / os.sysconf("SC_CLK_TCK")

    def _start(self, command: Command) -> None:
        arguments = ["taskset", "-c", str(self._core), *command.arguments]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                arguments,
                cwd=self._log.parent,
                env={**self._environment, **command.environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it ended already: `check` says
            process.stdin.write(command.stdin)

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):  # as it should be: nobody is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """Return a TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
