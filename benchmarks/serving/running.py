"""Subjects started and checked, side by side on one core, ready to be timed."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.errors import BenchmarkError, NotInstalledError, RefusedError
from benchmarks.harness.servers import Address, Servers, free_port
from benchmarks.serving.answers import check
from benchmarks.serving.data import Data
from benchmarks.serving.installed import Installed
from benchmarks.serving.subjects import Setup, Subject


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of server and load: the load never takes the server's time.

    Attributes:
        server: Core of every process of a subject.
        load: Core of the load.
    """

    server: int
    load: int


@dataclass(frozen=True, slots=True)
class Running:
    """A subject that answers correctly.

    Attributes:
        subject: The subject.
        address: Address of its server.
        pids: Process ids of its commands.
        core_seconds: Returns the processor time of all its processes.
    """

    subject: Subject
    address: Address
    pids: Sequence[int]
    core_seconds: Callable[[], float]


def two_cores() -> Cores:
    """Return two of the cores that this process may use.

    Raises:
        BenchmarkError: This process may use only one core.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError(
            "this machine", "only one core", "use one with a core for the load, too"
        )
    return Cores(*cores[:2])


class Runner:
    """Starts subjects; leaving the `with` ends them all.

    Args:
        data: Store with the lists.
        cores: Cores of server and load.
        installed: Programs of the subjects.

    Attributes:
        n_refused: Number of subjects that did not start or answered wrongly.
    """

    def __init__(self, data: Data, cores: Cores, installed: Installed) -> None:
        self.n_refused = 0
        self._data = data
        self._cores = cores
        self._installed = installed
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Runner":
        # Not below the data: a socket's path must be short. Readable for nginx's user `nobody`.
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._folder.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def folder(self) -> Path:
        """Folder for temporary files of the run."""
        return self._folder

    def start(self, subjects: Sequence[Subject]) -> Iterator[Running]:
        """Start each subject and yield it once it answers correctly; print why others do not."""
        for subject in subjects:
            try:
                yield self._start(subject)
            except NotInstalledError as error:
                print(f"{subject.name} SKIPPED: {error}", file=sys.stderr)
            except RefusedError as error:
                self.n_refused += 1
                print(f"REFUSED: {error}", file=sys.stderr)

    def _start(self, subject: Subject) -> Running:
        self._installed.require(subject.programs)
        folder = self._folder / subject.name
        folder.mkdir()
        address = Address("127.0.0.1", free_port())
        setup = Setup(self._data, address.port, folder, self._installed)
        print(f"starting {subject.name}", file=sys.stderr)
        servers = Servers(
            subject.name,
            subject.commands(setup),
            core=self._cores.server,
            folder=folder,
            environment=self._installed.environment(),
        )
        with contextlib.ExitStack() as stack:
            stack.enter_context(servers)
            check(subject, address, self._data, check_alive=servers.check)
            self._stack.enter_context(stack.pop_all())
        return Running(subject, address, servers.pids(), servers.core_seconds)
