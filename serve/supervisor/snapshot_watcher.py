"""The snapshot watcher: it decides which snapshot the workers serve.

    CURRENT ─► verify, in a child process ─► its number onto the scoreboard
                                 └─► refused: the last good one stays

After a worker's crash the served snapshot is verified again; a snapshot that crashes
workers repeatedly is blocked, and the previously served generation takes its place. If
an experiment runs, it is stopped first. A new generation that is the control of an
experiment waits for the verification of the other arms.
"""

import logging
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from serve.scoreboard import Scoreboard
from serve.supervisor.experiment_watcher import ExperimentWatcher
from serve.supervisor.verification import REFUSED, Verdict, Verification
from store.errors import NoSnapshotError, StoreError
from store.journal import flips
from store.layout import generations
from store.pointer import current

log = logging.getLogger(__name__)

VERIFY_AGAIN_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 30.0  # a refused snapshot may have been repaired
_MAX_CRASHES: Final = 3  # so many …
_CRASH_SECONDS: Final = 10.0  # … within this time block the snapshot


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
        shards: Collection[int] | None = None,
    ) -> None:
        self.blocked_generations = set(blocked_generations)
        self.verify_again_seconds = verify_again_seconds
        self._store = store
        self._scoreboard = scoreboard
        self._verification = Verification(store, self._report, shards)
        self._experiments = ExperimentWatcher(store, scoreboard, shards)
        self._waiting = 0  # verified generation that waits for the other arms
        self._refused_at: dict[int, float] = {}  # by generation
        self._previous = 0  # generation served before the present one
        self._may_fall_back = True
        self._crashes: list[float] = []
        self._verified_at = 0.0
        self._is_suspect = False  # a worker crashed since the last verification
        self._indexed: set[int] = set()  # generations whose index has passed its check

    @property
    def is_verifying(self) -> bool:
        """Whether a verification runs."""
        return bool(
            self._verification.is_running or self._experiments.is_verifying or self._waiting
        )

    def look(self) -> None:
        """Start to verify the snapshots that should be served and are not yet."""
        if self._verification.is_running:
            return
        if self._is_suspect and time.monotonic() - self._verified_at > self.verify_again_seconds:
            self._is_suspect = False
            self._verification.start(self._scoreboard.generation)
            return
        try:
            wanted = current(self._store)
        except NoSnapshotError as error:
            wanted = None
            self._report(str(error))
        self._experiments.look(wanted)
        if wanted == self._scoreboard.generation and wanted not in self.blocked_generations:
            self._refused_at.clear()
            self._report(self._experiments.problem)
            self._experiments.put(wanted)
        elif wanted and wanted == self._waiting:
            if self._experiments.is_ready_for(wanted):
                self._serve(wanted)
        elif (candidate := self._candidate(wanted)) is not None:
            self._verification.start(candidate)
        else:
            self._experiments.put(self._scoreboard.generation)

    def ended(self, pid: int, status: int) -> bool:
        """Record the end of a child; return False if it was not a verification."""
        if self._experiments.ended(pid, status):
            return True
        if not self._verification.owns(pid):
            return False
        verdict = self._verification.finish(status)
        if verdict is None or verdict.generation in self.blocked_generations:
            return True  # it runs once more, or the snapshot has crashed workers meanwhile
        if not verdict.is_sound:
            self._refuse(verdict)
            return True
        generation = verdict.generation
        (self._indexed.add if verdict.has_index else self._indexed.discard)(generation)
        self._verified_at = time.monotonic()
        self._refused_at.pop(generation, None)
        if self._experiments.is_ready_for(generation):
            self._serve(generation)
        else:
            self._waiting = generation
        return True

    def worker_crashed(self) -> None:
        """Record the crash of a worker, and suspect the snapshot."""
        now, generation = time.monotonic(), self._scoreboard.generation
        self._crashes = [at for at in self._crashes if now - at < _CRASH_SECONDS] + [now]
        if len(self._crashes) >= _MAX_CRASHES:
            self._crashes.clear()
            if not self._experiments.fail("crashes workers"):
                self._fall_back(generation, "crashes workers")
        elif generation:
            self._is_suspect = True  # the next look verifies it
            self._experiments.verify_again()

    def verify_again(self) -> None:
        """Have the next look verify the served snapshot: other code may have verified it."""
        self._is_suspect = bool(self._scoreboard.generation)

    def stop(self) -> set[int]:
        """End a verification; return the pid to wait for, if there is one."""
        return self._verification.stop() | self._experiments.stop()

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

    def _serve(self, generation: int) -> None:
        self._waiting = 0
        if generation != self._scoreboard.generation:  # else it was verified once more
            self._previous = self._scoreboard.generation
            self._may_fall_back = generation > max(self.blocked_generations, default=0)
            self._crashes.clear()
            self._put(generation)
            self._scoreboard.count("swaps")
        else:
            self._put(generation)

    def _put(self, generation: int) -> None:
        """Put a verified generation onto the scoreboard; first whether its index may be used.

        Arms come before the generation, and their end after it: a worker that looks
        between two words keeps what it serves.
        """
        self._scoreboard.indexed_generation = generation if generation in self._indexed else 0
        if self._experiments.tag_for(generation):
            self._experiments.put(generation)
        self._scoreboard.generation = generation
        self._experiments.put(generation)

    def _refuse(self, verdict: Verdict) -> None:
        generation, status = verdict
        self._refused_at[generation] = time.monotonic()
        self._scoreboard.count("refusals")
        if status != REFUSED:
            self._report(f"generation {generation}: verification ended with {status}; will retry")
        if generation == self._scoreboard.generation and verdict.is_damaged:
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
