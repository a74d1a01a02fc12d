"""The watch: which snapshot the workers should serve.

    CURRENT ─► verify, in a child of its own ─► its number onto the shared page
                                 └─► refused: the last good one goes on being served

A second of hashing never delays a respawn, and reading it all leaves it warm in
the page cache. Where workers crash, the snapshot that they serve is verified
once more, and one that they die of again and again is left for the one before.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import lmdb

from serve.processes import CRASHES, fork, signal_all
from serve.scoreboard import Scoreboard
from serve.worker.served import Served
from store.errors import NoSnapshotError, StoreError
from store.journal import flips
from store.layout import generations, snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.snapshot import open_snapshot

log = logging.getLogger(__name__)

_TRY_AGAIN_SECONDS: Final = 30.0  # a refused snapshot: somebody may have mended it
_N_CRASHES: Final = 3  # so many …
_CRASH_SECONDS: Final = 10.0  # … within this time are too many
_VERIFY_AGAIN_SECONDS: Final = 2.0
_BAD: Final = 1  # exit status of a verification that refused


class SnapshotWatcher:
    """Verifies what should be served, and puts it onto the page."""

    def __init__(
        self, store: Path, page: Scoreboard, blocked_generations: Iterable[int] = ()
    ) -> None:
        self._store = store
        self._page = page
        self._verifying: tuple[int, int] | None = None  # pid, generation
        self._refused: dict[int, float] = {}  # generation: when
        self._before = 0  # served before the present one, and sound then
        self._may_retreat = True
        self._crashes: list[float] = []
        self._verified_at = 0.0
        self._is_suspect = False  # a worker crashed, and nobody has verified since
        self.blocked_generations = set(blocked_generations)  # workers die of these

    @property
    def is_verifying(self) -> bool:
        """Whether a verification runs."""
        return self._verifying is not None

    def look(self) -> None:
        """Start to verify what should be served and is not yet."""
        if self._verifying:
            return
        if self._is_suspect and time.monotonic() - self._verified_at > _VERIFY_AGAIN_SECONDS:
            self._is_suspect = False
            self._verify(self._page.generation)
            return
        try:
            wanted = current(self._store)
        except NoSnapshotError as error:
            wanted = None
            self._report(str(error))
        if wanted == self._page.generation and wanted not in self.blocked_generations:
            self._refused.clear()
            self._report("")
        elif (candidate := self._candidate(wanted)) is not None:
            self._verify(candidate)

    def ended(self, pid: int, status: int) -> bool:
        """Note the end of a child; False if it was no verification."""
        if not self._verifying or pid != self._verifying[0]:
            return False
        generation, self._verifying = self._verifying[1], None
        if generation in self.blocked_generations:
            return True  # workers died of it meanwhile
        if status == 0:
            self._verified_at = time.monotonic()
            self._refused.pop(generation, None)
            self._serve(generation)
        else:
            self._refuse(generation, status)
        return True

    def crashed(self) -> None:
        """Note that a worker crashed, and ask whether the snapshot is to blame."""
        now, generation = time.monotonic(), self._page.generation
        self._crashes = [at for at in self._crashes if now - at < _CRASH_SECONDS] + [now]
        if len(self._crashes) >= _N_CRASHES:
            self._crashes.clear()
            self._fall_back(generation, "workers died of it")
        elif generation:
            self._is_suspect = True  # the next look verifies it

    def stop(self) -> set[int]:
        """End a verification; return the pid to wait for, if there is one."""
        pids = {self._verifying[0]} if self._verifying else set[int]()
        signal_all(pids, signal.SIGTERM)
        return pids

    def _candidate(self, wanted: int | None) -> int | None:
        """The current generation; while nothing sound is served, else one that was once served."""
        now, served = time.monotonic(), self._page.generation
        instead = (
            [] if served and served not in self.blocked_generations else _published(self._store)
        )
        for generation in (wanted, *instead):
            is_tried = now - self._refused.get(generation or 0, -1e9) < _TRY_AGAIN_SECONDS
            if generation and not is_tried and generation not in self.blocked_generations:
                return generation
        return None

    def _verify(self, generation: int) -> None:
        with contextlib.suppress(OSError):  # no process to be had: the next look tries again
            self._verifying = fork(lambda: self._become_verification(generation)), generation

    def _become_verification(self, generation: int) -> int:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # SIGTERM just ends this child
        try:
            verify(snapshot_folder(self._store, generation))
            with open_snapshot(self._store, generation, verified=True) as snapshot:
                Served(snapshot).answer(b"-")  # as a worker does: sums do not prove that it opens
        except (StoreError, lmdb.Error) as error:
            self._report(str(error))
            return _BAD
        return 0

    def _serve(self, generation: int) -> None:
        if generation != self._page.generation:  # else it was verified once more
            self._before = self._page.generation
            self._may_retreat = generation > max(self.blocked_generations, default=0)
            self._crashes.clear()
            self._page.generation = generation
            self._page.count("swaps")

    def _refuse(self, generation: int, status: int) -> None:
        self._refused[generation] = time.monotonic()
        self._page.count("refusals")
        if status != _BAD:
            self._report(f"generation {generation}: its verification ended with {status}")
        if generation == self._page.generation and status in (_BAD, *CRASHES):
            self._fall_back(generation, "it is not what it was when it was published")

    def _fall_back(self, generation: int, why: str) -> None:
        """Go back to what was served before, where there is something.

        Once, not further and further: workers that go on dying have another reason.
        """
        others = set(_published(self._store)) - self.blocked_generations - {generation}
        if not (generation and others and self._may_retreat):
            self._report(f"generation {generation}: {why}")
            return
        self._may_retreat = False
        self.blocked_generations.add(generation)
        self._page.count("retreats")
        self._report(f"generation {generation} is left for one served before: {why}")
        if self._before in others:
            self._page.generation = self._before  # else the next look finds and verifies one

    def _report(self, problem: str) -> None:
        """Put what is wrong on the page for `/healthz`, and into the log once."""
        if problem != self._page.problem:
            self._page.problem = problem
            log.error("%s", problem) if problem else log.info("the store is in order")


def _published(store: Path) -> list[int]:
    """The kept generations that have been current, the last one first."""
    try:
        kept = set(generations(store))
        latest_first = dict.fromkeys(line.generation for line in reversed(flips(store)))
    except OSError:
        return []  # nothing to go back to; what is current may be had all the same
    return [generation for generation in latest_first if generation in kept]
