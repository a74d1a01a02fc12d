"""Commands that serve, started and ended together, and `python -m serve` among them.

    with Servers("redis", [Command(["redis-server"])], folder=folder) as servers: ...
    with MarqueeServer(store, folder, "--workers", "2") as server: ...

Each command leads a session of its own, so that all its children are ended with it.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from benchmarks.harness.errors import RefusedError
from benchmarks.harness.processes import (
    PATIENCE_SECONDS,
    Process,
    clean_environment,
    core_seconds,
    leaders_below,
    processes_of,
    wait_until,
    workers_of,
)

_SHOWN_CHARACTERS: Final = 400  # of the log of a command that failed
_ADDRESS: Final = re.compile(
    r"serving on http://([\d.]+):(\d+), (\d+) workers(?:, behind nginx, (\d+) more)?"
)
_ECHO_SECONDS: Final = 0.1


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a subject.

    Attributes:
        arguments: Program, a path or a name in PATH, and its arguments.
        environment: Variables added to those of the other commands.
        stdin: Bytes on its standard input.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""


class Servers:
    """The processes of one subject; leaving the `with` ends them.

    Args:
        name: Name of the subject; the log is `NAME.log`.
        commands: Commands in the order of their start; they end in reverse.
        folder: Working directory, and folder of the log.
        environment: Environment of all commands; default: that of this process.
        core: Core that all processes are pinned to; default: any.
    """

    def __init__(
        self,
        name: str,
        commands: Sequence[Command],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        core: int | None = None,
    ) -> None:
        self.log = folder / f"{name}.log"
        self._name = name
        self._commands = commands
        self._environment = os.environ if environment is None else environment
        self._pinning = [] if core is None else ["taskset", "-c", str(core)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.log.write_bytes(b"")
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
        """Raise if a command has ended.

        Raises:
            RefusedError: A command has ended; the message holds the end of the log.
        """
        for process in self._processes:
            if (status := process.poll()) is not None:
                log = self.log.read_text(errors="replace").strip()
                raise RefusedError(self._name, f"ended with {status}: {log[-_SHOWN_CHARACTERS:]}")

    def pids(self) -> list[int]:
        """Return the process ids of the commands, in the order of their start."""
        return [process.pid for process in self._processes]

    def core_seconds(self) -> float:
        """Return the processor time of all commands and their children."""
        return core_seconds(self.pids())

    def _start(self, command: Command) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self._pinning, *command.arguments],
                cwd=self.log.parent,
                env={**self._environment, **command.environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it has ended: see `check`
            process.stdin.write(command.stdin)

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS)
            for left in processes_of(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left.pid, signal.SIGKILL)
            process.wait()
            _wait_for_end(process.pid)  # a killed process is there for a moment


class MarqueeServer(Servers):
    """One `python -m serve` behind nginx, unless `options` hold `--bare`.

    Args:
        store: Store to serve.
        folder: Working directory, with `marquee.toml` if there is one, and `server.log`.
        options: Further options of the command line.
        port: TCP port; 0: a free one.
        on_log_line: Called in a thread with each line of the log as it is written.

    Attributes:
        address: Where it listens.
        n_workers: Number of worker processes, side workers included.
    """

    address: Address
    n_workers: int

    def __init__(
        self,
        store: Path,
        folder: Path,
        *options: str,
        port: int = 0,
        on_log_line: Callable[[str], object] | None = None,
    ) -> None:
        serve = [sys.executable, "-m", "serve", "--port", str(port), "--store", str(store)]
        command = Command([*serve, *options])
        super().__init__("server", [command], folder=folder, environment=clean_environment())
        self._on_log_line = on_log_line
        self._has_ended = threading.Event()

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            if self._on_log_line:
                threading.Thread(target=self._echo, args=(self._on_log_line,), daemon=True).start()
            serving = wait_until(self._find_address)
            self.address = Address(serving[1], int(serving[2]))
            self.n_workers = int(serving[3]) + int(serving[4] or 0)
            self.wait_for_workers()
        except BaseException:
            self._stop()
            raise
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        return self._processes[0]

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return [one.pid for one in workers_of(self.process.pid)]

    def nginx_masters(self) -> list[int]:
        """Return the process id of nginx's master, if it is alive."""
        return [one.pid for one in leaders_below(self.process.pid) if one.name == "nginx"]

    def nginx_workers(self) -> list[int]:
        """Return the process ids of nginx's workers."""
        masters = self.nginx_masters()
        return [one.pid for one in self.processes() if one.parent in masters]

    def processes(self) -> list[Process]:
        """Return all its living processes."""
        return processes_of(self.process.pid)

    def wait_for_workers(self, gone: Sequence[int] = ()) -> list[int]:
        """Return the process ids of the workers once all run, and none of `gone` does."""

        def complete() -> list[int]:
            pids = self.workers()
            return pids if len(pids) == self.n_workers and not set(pids) & set(gone) else []

        return wait_until(complete)

    def reload(self) -> None:
        """Send SIGHUP, and return when every worker has been replaced."""
        replaced = self.workers()
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_workers(gone=replaced)

    def count_in_log(self, pattern: str) -> int:
        """Return the number of matches of a regular expression in the log."""
        return len(re.findall(pattern, self.log.read_text(errors="replace")))

    def wait(self) -> int:
        """Return the exit status once the server has ended."""
        return self.process.wait()

    def _find_address(self) -> re.Match[str] | None:
        self.check()
        return _ADDRESS.search(self.log.read_text())

    def _echo(self, on_log_line: Callable[[str], object]) -> None:
        with self.log.open(errors="replace") as log:
            while True:
                is_last = self._has_ended.wait(_ECHO_SECONDS)
                for line in log:
                    on_log_line(line.rstrip("\n"))
                if is_last:
                    return

    def _stop(self) -> None:
        super()._stop()
        self._has_ended.set()


def _wait_for_end(session: int) -> None:
    wait_until(lambda: not processes_of(session))


def free_port() -> int:
    """Return a TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
