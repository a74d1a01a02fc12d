"""The snapshot watcher: it decides which snapshot the workers serve.

    CURRENT ─► verify, in a child process ─► its number onto the scoreboard
                                 └─► refused: the last good one stays

In a child process seconds of hashing never delay a respawn, and reading the files
leaves them warm in the page cache. It also checks the item index and searches in it:
a snapshot whose index fails, or crashes that process, is served without it. After a
worker's crash the served snapshot is verified again; a snapshot that crashes workers
repeatedly is blocked, and the previously served generation takes its place.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import lmdb

from serve.scoreboard import Scoreboard
from serve.supervisor.children import CRASHES, fork, signal_all
from serve.worker.index import verify_index
from serve.worker.served import Served
from store.errors import NoSnapshotError, StoreError
from store.journal import flips
from store.layout import generations, snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

VERIFY_AGAIN_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 30.0  # a refused snapshot may have been repaired
_MAX_CRASHES: Final = 3  # so many …
_CRASH_SECONDS: Final = 10.0  # … within this time block the snapshot
_REFUSED: Final = 1  # exit statuses of a verification …
_NO_INDEX: Final = 3  # … whose snapshot is served without its index


class SnapshotWatcher:
    """Verifies the current snapshot and puts its generation onto the scoreboard.

    Attributes:
        blocked_generations: Generations that crash workers.
        verify_again_seconds: Minimum age of the last verification when a crash asks
            for another one.
    """

    def __init__(
        self,
        store: Path,
        scoreboard: Scoreboard,
        blocked_generations: Iterable[int] = (),
        *,
        verify_again_seconds: float = VERIFY_AGAIN_SECONDS,
    ) -> None:
        self.blocked_generations = set(blocked_generations)
        self.verify_again_seconds = verify_again_seconds
        self._store = store
        self._scoreboard = scoreboard
        self._verifying: tuple[int, int] | None = None  # pid, generation
        self._refused_at: dict[int, float] = {}  # by generation
        self._previous = 0  # generation served before the present one
        self._may_fall_back = True
        self._crashes: list[float] = []
        self._verified_at = 0.0
        self._is_suspect = False  # a worker crashed since the last verification
        self._indexed: set[int] = set()  # generations whose index has passed its check
        self._crashing_indexes: set[int] = set()  # generations whose verification crashed

    @property
    def is_verifying(self) -> bool:
        """Whether a verification runs."""
        return self._verifying is not None

    def look(self) -> None:
        """Start to verify the snapshot that should be served and is not yet."""
        if self._verifying:
            return
        if self._is_suspect and time.monotonic() - self._verified_at > self.verify_again_seconds:
            self._is_suspect = False
            self._verify(self._scoreboard.generation)
            return
        try:
            wanted = current(self._store)
        except NoSnapshotError as error:
            wanted = None
            self._report(str(error))
        if wanted == self._scoreboard.generation and wanted not in self.blocked_generations:
            self._refused_at.clear()
            self._report("")
        elif (candidate := self._candidate(wanted)) is not None:
            self._verify(candidate)

    def ended(self, pid: int, status: int) -> bool:
        """Record the end of a child; return False if it was not a verification."""
        if not self._verifying or pid != self._verifying[0]:
            return False
        generation, self._verifying = self._verifying[1], None
        if generation in self.blocked_generations:
            return True  # it has crashed workers meanwhile
        if status in (*CRASHES, -signal.SIGALRM) and generation not in self._crashing_indexes:
            log.warning("generation %d: verifying again without its index", generation)
            self._crashing_indexes.add(generation)
            self._verify(generation)
            return True
        if status in (0, _NO_INDEX):
            (self._indexed.add if status == 0 else self._indexed.discard)(generation)
            self._verified_at = time.monotonic()
            self._refused_at.pop(generation, None)
            self._serve(generation)
        else:
            self._refuse(generation, status)
        return True

    def worker_crashed(self) -> None:
        """Record the crash of a worker, and suspect the snapshot."""
        now, generation = time.monotonic(), self._scoreboard.generation
        self._crashes = [at for at in self._crashes if now - at < _CRASH_SECONDS] + [now]
        if len(self._crashes) >= _MAX_CRASHES:
            self._crashes.clear()
            self._fall_back(generation, "crashes workers")
        elif generation:
            self._is_suspect = True  # the next look verifies it

    def verify_again(self) -> None:
        """Have the next look verify the served snapshot: other code may have verified it."""
        self._is_suspect = bool(self._scoreboard.generation)

    def stop(self) -> set[int]:
        """End a verification; return the pid to wait for, if there is one."""
        pids = {self._verifying[0]} if self._verifying else set[int]()
        signal_all(pids, signal.SIGTERM)
        return pids

    def _candidate(self, wanted: int | None) -> int | None:
        """Return the current generation, or a formerly served one while none can be served."""
        now, served = time.monotonic(), self._scoreboard.generation
        is_served = served and served not in self.blocked_generations
        others = [] if is_served else _published(self._store)
        for generation in (wanted, *others):
            was_refused = now - self._refused_at.get(generation or 0, -1e9) < _RETRY_SECONDS
            if generation and not was_refused and generation not in self.blocked_generations:
                return generation
        return None

    def _verify(self, generation: int) -> None:
        with contextlib.suppress(OSError):  # no process to spare: the next look tries again
            self._verifying = fork(lambda: self._run_verification(generation)), generation

    def _run_verification(self, generation: int) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # SIGTERM simply ends this child
        try:
            verify(snapshot_folder(self._store, generation))
            with open_snapshot(self._store, generation, verified=True) as snapshot:
                # As a worker does: sums do not prove that it opens.
                Served(snapshot, with_index=False).answer(b"-")
                return self._check_index(snapshot)
        except (StoreError, lmdb.Error) as error:
            self._report(str(error))
            return _REFUSED

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

    def _serve(self, generation: int) -> None:
        if generation != self._scoreboard.generation:  # else it was verified once more
            self._previous = self._scoreboard.generation
            self._may_fall_back = generation > max(self.blocked_generations, default=0)
            self._crashes.clear()
            self._put(generation)
            self._scoreboard.count("swaps")
        else:
            self._put(generation)

    def _put(self, generation: int) -> None:
        """Put a verified generation onto the scoreboard; first whether its index may be used."""
        self._scoreboard.indexed_generation = generation if generation in self._indexed else 0
        self._scoreboard.generation = generation

    def _refuse(self, generation: int, status: int) -> None:
        self._refused_at[generation] = time.monotonic()
        self._scoreboard.count("refusals")
        if status != _REFUSED:
            self._report(f"generation {generation}: verification ended with {status}; will retry")
        if generation == self._scoreboard.generation and status in (_REFUSED, *CRASHES):
            self._fall_back(generation, "has changed since it was published")

    def _fall_back(self, generation: int, why: str) -> None:
        """Return to the previously served generation, if there is one.

        Once, not further and further: if workers still crash, the cause is another.
        """
        others = set(_published(self._store)) - self.blocked_generations - {generation}
        if not (generation and others and self._may_fall_back):
            self._report(f"generation {generation}: {why}; publish a new snapshot")
            return
        self._may_fall_back = False
        self.blocked_generations.add(generation)
        self._scoreboard.count("retreats")
        self._report(
            f"generation {generation}: {why}; falling back to the previously served generation"
        )
        if self._previous in others:
            self._put(self._previous)  # else the next look verifies one

    def _report(self, problem: str) -> None:
        """Show a problem in `/healthz`, and log it once."""
        if problem != self._scoreboard.problem:
            self._scoreboard.problem = problem
            log.error("%s", problem) if problem else log.info("store: no problems found")


def _published(store: Path) -> list[int]:
    """Return the generations in the store that have been current, the latest first."""
    try:
        kept = set(generations(store))
        latest_first = dict.fromkeys(line.generation for line in reversed(flips(store)))
    except (StoreError, OSError):
        return []  # no fallback; the current one may still be readable
    return [generation for generation in latest_first if generation in kept]
