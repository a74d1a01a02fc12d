"""The pool: as many workers as there should be, whatever becomes of each.

    place 0    place 1    place 2
    worker     worker     (free)

There is one place more than there are workers, so that a new one answers before an
old one is told to go.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from serve.processes import CRASHES, ChildProcess
from serve.scoreboard import Scoreboard

log = logging.getLogger(__name__)

_SILENT_SECONDS: Final = 3.0  # of a worker's main loop, then it is taken for hung


@dataclass(slots=True)
class _Place:
    """Where one worker may run.

    Attributes:
        number: Of its place on the shared page.
        kept: Its process.
        is_old: It runs code or configuration that is to be replaced.
        is_leaving: It has been told to end.
        is_hung: It has been killed for its silence.
    """

    number: int
    kept: ChildProcess
    is_old: bool = False
    is_leaving: bool = False
    is_hung: bool = False


class Pool:
    """Keeps the workers."""

    def __init__(
        self,
        n_workers: int,
        page: Scoreboard,
        run_worker: Callable[[int], int],
        old: Mapping[int, int],
    ) -> None:
        """Take over what runs already.

        Args:
            n_workers: Wanted.
            page: With more places than that.
            run_worker: Becomes the worker of a place, in a process of its own.
            old: Pids by place of workers to be replaced one by one.
        """
        self._n_workers = n_workers
        self._page = page
        self._looked_at = time.monotonic()
        self._places = [
            _Place(
                number,
                ChildProcess(f"worker {number}", partial(run_worker, number), old.get(number, 0)),
                is_old=number in old,
            )
            for number in range(page.n_places)
        ]

    def pids(self) -> dict[int, int]:
        """Return the workers that run, by place."""
        return {place.number: place.kept.pid for place in self._places if place.kept.pid}

    def keep_full(self) -> None:
        """Start what is missing, replace what is old, kill what hangs."""
        self._kill_hung()
        old = [place for place in self._running() if place.is_old]
        n_missing = self._n_workers + bool(old) - len(self._running())
        due = [place for place in self._places if place.kept.is_due()]
        for place in due[: max(n_missing, 0)]:
            self._page.enter(place.number)
            place.kept.start()
        fresh = [place for place in self._running() if not place.is_old]
        if (
            old
            and len(self._running()) > self._n_workers
            and all(self._page.is_ready(place.number) for place in fresh)
            and not any(place.is_leaving for place in old)
        ):
            old[0].is_leaving = True
            self._page.beat(old[0].number)  # from now on it may be silent as long as any
            os.kill(old[0].kept.pid, signal.SIGTERM)

    def reaped(self, pid: int, status: int) -> bool | None:
        """Note a death; return whether it was a crash, None if it was no worker."""
        for place in self._places:
            if place.kept.pid == pid:
                is_crash = status in CRASHES or place.is_hung
                place.kept.ended(status, expected=place.is_leaving)
                if not place.is_leaving:
                    self._page.count("respawns")
                place.is_old = place.is_leaving = place.is_hung = False
                return is_crash
        return None

    def _running(self) -> list[_Place]:
        return [place for place in self._places if place.kept.pid]

    def _kill_hung(self) -> None:
        silent_seconds, self._looked_at = time.monotonic() - self._looked_at, time.monotonic()
        if silent_seconds > _SILENT_SECONDS / 2:
            for place in self._running():  # the machine stood still, and nobody could beat
                self._page.beat(place.number)
        for place in self._running():
            if place.is_old and not place.is_leaving:
                continue  # it may beat on a page of before
            if self._page.seconds_since_beat(place.number) > _SILENT_SECONDS:
                log.warning("%s hangs and is killed", place.kept.name)
                place.is_hung = True
                os.kill(place.kept.pid, signal.SIGKILL)
                self._page.beat(place.number)  # once is enough
