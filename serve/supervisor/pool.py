"""The pool: it keeps the configured number of workers running.

    slot 0     slot 1     slot 2
    worker     worker     (free)

There is one slot more than workers, so that a new worker is ready before an old
one has to end. Behind nginx there are two pools: of workers for lists, and of side
workers for expensive requests. The slots of the second follow those of the first.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from serve.scoreboard import Scoreboard
from serve.supervisor.children import CRASHES, ChildProcess

log = logging.getLogger(__name__)

_MAX_SILENT_SECONDS: Final = 3.0  # without a heartbeat; an older one means that the worker hangs


@dataclass(slots=True)
class _Slot:
    """A slot and its worker.

    Attributes:
        number: Number of the slot on the scoreboard.
        process: Process of the worker.
        is_old: Whether its code or configuration is to be replaced.
        is_leaving: Whether it has been asked to end.
        is_hung: Whether it has been killed for its missing heartbeat.
    """

    number: int
    process: ChildProcess
    is_old: bool = False
    is_leaving: bool = False
    is_hung: bool = False


class Pool:
    """The workers and their slots."""

    def __init__(
        self,
        n_workers: int,
        scoreboard: Scoreboard,
        run_worker: Callable[[int], int],
        old: Mapping[int, int],
        slots: Iterable[int],
    ) -> None:
        """Take over the workers that run already.

        Args:
            n_workers: Number of workers to keep.
            scoreboard: The scoreboard.
            run_worker: Main function of a worker's process; its argument is the slot.
            old: Pids by slot of the workers to be replaced one by one.
            slots: Numbers of this pool's slots, more than workers.
        """
        self._n_workers = n_workers
        self._scoreboard = scoreboard
        self._checked_at = time.monotonic()
        self._slots = [
            _Slot(
                number,
                ChildProcess(f"worker {number}", partial(run_worker, number), old.get(number, 0)),
                is_old=number in old,
            )
            for number in slots
        ]

    def pids(self) -> dict[int, int]:
        """Return the pids of the running workers, by slot."""
        return {slot.number: slot.process.pid for slot in self._slots if slot.process.pid}

    def keep_full(self) -> None:
        """Start missing workers, replace old ones, kill those that hang."""
        self._kill_hung()
        old = [slot for slot in self._running() if slot.is_old]
        n_missing = self._n_workers + bool(old) - len(self._running())
        due = [slot for slot in self._slots if slot.process.is_due()]
        for slot in due[: max(n_missing, 0)]:
            self._scoreboard.enter(slot.number)
            slot.process.start()
        new = [slot for slot in self._running() if not slot.is_old]
        if (
            old
            and len(self._running()) > self._n_workers
            and all(self._scoreboard.is_ready(slot.number) for slot in new)
            and not any(slot.is_leaving for slot in old)
        ):
            old[0].is_leaving = True
            self._scoreboard.beat(old[0].number)  # its heartbeat is checked from now on
            os.kill(old[0].process.pid, signal.SIGTERM)

    def replace_all(self) -> None:
        """Have every running worker replaced, one by one."""
        for slot in self._running():
            slot.is_old = True

    def reaped(self, pid: int, status: int) -> bool | None:
        """Record the end of a child.

        Returns:
            Whether it was a worker's crash; None if it was not a worker.
        """
        for slot in self._slots:
            if slot.process.pid == pid:
                is_crash = status in CRASHES or slot.is_hung
                slot.process.ended(status, expected=slot.is_leaving)
                if not slot.is_leaving:
                    self._scoreboard.count("respawns")
                slot.is_old = slot.is_leaving = slot.is_hung = False
                return is_crash
        return None

    def _running(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.process.pid]

    def _kill_hung(self) -> None:
        seconds, self._checked_at = time.monotonic() - self._checked_at, time.monotonic()
        if seconds > _MAX_SILENT_SECONDS / 2:
            for slot in self._running():  # the machine was suspended, and the workers with it
                self._scoreboard.beat(slot.number)
        for slot in self._running():
            if slot.is_old and not slot.is_leaving:
                continue  # it may beat on an earlier scoreboard
            if self._scoreboard.seconds_since_beat(slot.number) > _MAX_SILENT_SECONDS:
                log.warning(
                    "%s: no heartbeat for %.0f s; killed", slot.process.name, _MAX_SILENT_SECONDS
                )
                slot.is_hung = True
                os.kill(slot.process.pid, signal.SIGKILL)
                self._scoreboard.beat(slot.number)  # killed once, not at every look
