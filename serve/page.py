"""The page of memory that the supervisor shares with its workers.

    generation u64 │ problem 504 bytes of text │ heartbeat of worker 0 u64 │ of worker 1 │ …

The supervisor writes the first two, each worker its own heartbeat; aligned
words are written whole, so nobody needs a lock.
"""

import mmap
import time
from typing import Final

_GENERATION: Final = 0
_PROBLEM: Final = slice(8, 512)
_HEARTBEATS: Final = 64  # the first word of these


class SharedPage:
    """Made before the workers are forked; they inherit it."""

    def __init__(self, n_workers: int) -> None:
        self._memory = mmap.mmap(-1, 512 + 8 * n_workers)
        self._words = memoryview(self._memory).cast("Q")

    @property
    def generation(self) -> int:
        """The verified generation that workers should serve, 0 before the first."""
        return self._words[_GENERATION]

    @generation.setter
    def generation(self, generation: int) -> None:
        self._words[_GENERATION] = generation

    @property
    def problem(self) -> str:
        """What is wrong with the store, for people; empty when all is well."""
        return self._memory[_PROBLEM].rstrip(b"\0").decode("utf-8", "replace")

    @problem.setter
    def problem(self, text: str) -> None:
        size = _PROBLEM.stop - _PROBLEM.start
        self._memory[_PROBLEM] = text.encode()[:size].ljust(size, b"\0")

    def beat(self, worker: int) -> None:
        """Say that this worker's main loop runs."""
        self._words[_HEARTBEATS + worker] = time.monotonic_ns()

    def seconds_since_beat(self, worker: int) -> float:
        """How long that worker's main loop has been silent."""
        return (time.monotonic_ns() - self._words[_HEARTBEATS + worker]) / 1e9
