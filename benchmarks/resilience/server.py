"""A real `python -m serve` in a folder of its own, and its processes by their parts."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from benchmarks.resilience.load import ROOT, Address

Found = TypeVar("Found")

PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.02
_STATE, _PARENT, _GROUP, _SESSION = 0, 1, 2, 3  # in /proc/PID/stat, behind the name
_ADDRESS: Final = re.compile(r"serving on http://([\d.]+):(\d+), (\d+) workers")


class Process(NamedTuple):
    """One living process.

    Attributes:
        pid: Its number.
        name: The kernel's: "nginx", "python".
        parent: That of its parent.
        group: That of the leader of its group.
        session: That of the leader of its session.
    """

    pid: int
    name: str
    parent: int
    group: int
    session: int


class Server:
    """One running server behind its front, unless `options` say otherwise.

    Args:
        store: What it serves.
        folder: Its working directory, with marquee.toml and log.
        options: Of the command line.
    """

    def __init__(self, store: Path, folder: Path, *options: str) -> None:
        self.log = folder / "server.log"
        kept = {key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")}
        command = [sys.executable, "-m", "serve", "--port", "0", "--store", str(store), *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**kept, "PYTHONPATH": str(ROOT)},
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            found = wait_until(self._address)
            self.address: Address = found[1], int(found[2])
            self.n_workers = int(found[3])
            self.wait_for_workers()
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

    def workers(self) -> list[int]:
        """The pids of bjoern's workers."""
        return [one.pid for one in self._children() if one.name != "nginx"]

    def front(self) -> list[int]:
        """The pid of nginx's master, if it lives."""
        return [one.pid for one in self._children() if one.name == "nginx"]

    def front_workers(self) -> list[int]:
        """The pids of nginx's workers."""
        masters = self.front()
        return [one.pid for one in self.processes() if one.parent in masters]

    def processes(self) -> list[Process]:
        """All of its living processes."""
        return processes_of(self.process.pid)

    def wait_for_workers(self, gone: list[int] | None = None) -> list[int]:
        """Return the pids once there are as many as there should be and none that is gone."""

        def full() -> list[int]:
            pids = self.workers()
            is_full = len(pids) == self.n_workers and not set(pids) & set(gone or ())
            return pids if is_full else []

        return wait_until(full)

    def reload(self) -> None:
        """Send SIGHUP, and return when every worker is another."""
        old = self.workers()
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_workers(gone=old)

    def said(self, pattern: str) -> int:
        """How often its log matches."""
        return len(re.findall(pattern, self.log.read_text(errors="replace")))

    def _children(self) -> list[Process]:
        # A worker leads a group of its own, and so does nginx; a verification does not.
        mine = self.process.pid
        return [one for one in self.processes() if one.parent == mine and one.group == one.pid]

    def _address(self) -> re.Match[str] | None:
        log = self.log.read_text()
        if self.process.poll() is not None:
            raise RuntimeError(f"the server does not start: {log[-400:]}")
        return _ADDRESS.search(log)

    def _stop(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE_SECONDS)
        for left in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(left.pid, signal.SIGKILL)
        self.process.wait()


def wait_until(what: Callable[[], Found | None], seconds: float = PATIENCE_SECONDS) -> Found:
    """Return what `what()` gives once that is true.

    Raises:
        TimeoutError: It does not become so.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(_LOOK_SECONDS)
    return found


def processes_of(session: int) -> list[Process]:
    """Return the living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            before, _, behind = (entry / "stat").read_text().rpartition(")")
            fields = behind.split()
            if fields[_STATE] != "Z" and int(fields[_SESSION]) == session:
                name = before.partition("(")[2]
                numbers = (int(fields[n]) for n in (_PARENT, _GROUP, _SESSION))
                found.append(Process(int(entry.name), name, *numbers))
    return found
