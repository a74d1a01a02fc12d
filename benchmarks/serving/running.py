"""Subjects set up, started and checked, side by side on one core, ready to be timed."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.answers import check
from benchmarks.serving.data import Data
from benchmarks.serving.errors import BenchmarkError, NotInstalledError, RefusedError
from benchmarks.serving.installed import Installed
from benchmarks.serving.servers import Servers, free_port
from benchmarks.serving.subjects import Place, Subject
from benchmarks.serving.targets import Address


@dataclass(frozen=True, slots=True)
class Cores:
    """Who works where, so that the load never takes the server's time.

    Attributes:
        server: The core that every process of a subject is held on.
        load: The core of the load.
    """

    server: int
    load: int


@dataclass(frozen=True, slots=True)
class Running:
    """A subject that answers.

    Attributes:
        subject: Which.
        address: Where.
        core_seconds: How long its processes have had a core, all together.
    """

    subject: Subject
    address: Address
    core_seconds: Callable[[], float]


def two_cores() -> Cores:
    """Return two of the cores that this process may use.

    Raises:
        BenchmarkError: It may use only one.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("this machine", "only one core", "it takes one for the load, too")
    return Cores(*cores[:2])


class Runner:
    """Starts subjects; leaving the `with` ends them all.

    Args:
        data: The lists.
        cores: Who works where.
        installed: Finds and installs what they need.

    Attributes:
        n_refused: Subjects that did not start or answered wrongly.
    """

    def __init__(self, data: Data, cores: Cores, installed: Installed) -> None:
        self.n_refused = 0
        self._data = data
        self._cores = cores
        self._installed = installed
        self._held = contextlib.ExitStack()

    def __enter__(self) -> "Runner":
        # Not below the data: a socket's path must be short. Open to an nginx that is nobody.
        self._folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
        self._folder.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def folder(self) -> Path:
        """For files that are needed while it runs."""
        return self._folder

    def start(self, subjects: Sequence[Subject]) -> Iterator[Running]:
        """Start each subject and yield it once it answers rightly; say why of each other."""
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
        place = Place(self._data, address.port, folder, self._installed)
        print(f"starting {subject.name}", file=sys.stderr)
        servers = Servers(
            subject.name,
            subject.commands(place),
            core=self._cores.server,
            folder=folder,
            environment=self._installed.environment(),
        )
        with contextlib.ExitStack() as held:
            held.enter_context(servers)
            check(subject, address, self._data, is_alive=servers.check)
            self._held.enter_context(held.pop_all())
        return Running(subject, address, servers.core_seconds)
