"""The verification of one snapshot at a time, in a child process.

    checksums ─► opened as a worker does ─► item index read and searched ─► exit status

In a child process seconds of hashing never delay a respawn, and reading the files leaves
them warm in the page cache. A snapshot whose index fails, or crashes that process, may be
served without it.
"""

import contextlib
import logging
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from serve.supervisor.children import CRASHES, fork, signal_all
from serve.worker.index import verify_index
from serve.worker.served import Served
from store.errors import StoreError
from store.layout import snapshot_folder
from store.manifest import verify
from store.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

REFUSED: Final = 1  # exit status of a verification whose snapshot must not be served
_NO_INDEX: Final = 3  # … whose snapshot is served without its index


class Verdict(NamedTuple):
    """The result of a verification.

    Attributes:
        generation: Generation of the snapshot.
        status: Exit status of the child process.
    """

    generation: int
    status: int

    @property
    def is_sound(self) -> bool:
        """Whether the snapshot may be served."""
        return self.status in (0, _NO_INDEX)

    @property
    def has_index(self) -> bool:
        """Whether its item index may be used."""
        return self.status == 0

    @property
    def is_damaged(self) -> bool:
        """Whether the snapshot, and not its verification, is at fault."""
        return self.status in (REFUSED, *CRASHES)


class Verification:
    """Verifies snapshots, one at a time.

    Args:
        store: Directory of the store.
        report: Function that shows a problem, called in the child process.
        shards: Shards that are served; None for all.
    """

    def __init__(
        self, store: Path, report: Callable[[str], None], shards: Collection[int] | None
    ) -> None:
        self._store = store
        self._shards = shards
        self._report = report
        self._running: tuple[int, int] | None = None  # pid, generation
        self._crashing_indexes: set[int] = set()  # generations whose verification crashed

    @property
    def is_running(self) -> bool:
        """Whether a verification runs."""
        return self._running is not None

    def start(self, generation: int) -> None:
        """Start to verify a generation."""
        with contextlib.suppress(OSError):  # no process to spare: the next look tries again
            self._running = fork(lambda: self._run(generation)), generation

    def owns(self, pid: int) -> bool:
        """Return whether the running verification has this pid."""
        return self._running is not None and self._running[0] == pid

    def finish(self, status: int) -> Verdict | None:
        """Record its end; None if it runs once more, without the index that crashed it."""
        assert self._running
        generation, self._running = self._running[1], None
        if status in (*CRASHES, -signal.SIGALRM) and generation not in self._crashing_indexes:
            log.warning("generation %d: verifying again without its index", generation)
            self._crashing_indexes.add(generation)
            self.start(generation)
            return None
        return Verdict(generation, status)

    def stop(self) -> set[int]:
        """End a verification; return the pid to wait for, if there is one."""
        pids = {self._running[0]} if self._running else set[int]()
        signal_all(pids, signal.SIGTERM)
        return pids

    def _run(self, generation: int) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # SIGTERM simply ends this child
        try:
            verify(snapshot_folder(self._store, generation))
            with open_snapshot(
                self._store, generation, verified=True, shards=self._shards
            ) as snapshot:
                # As a worker does: sums do not prove that it opens.
                Served(snapshot, with_index=False).answer(b"-")
                return self._check_index(snapshot)
        except (StoreError, lmdb.Error) as error:
            self._report(str(error))
            return REFUSED

    def _check_index(self, snapshot: Snapshot) -> int:
        """Return the exit status of a verification whose snapshot is sound so far."""
        if snapshot.generation in self._crashing_indexes:
            return _NO_INDEX
        try:
            verify_index(snapshot)
        except (ValueError, OverflowError) as error:
            log.warning("generation %d: lists by history disabled: %s", snapshot.generation, error)
            return _NO_INDEX
        return 0
