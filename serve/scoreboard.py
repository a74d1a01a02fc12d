"""The page of memory that the supervisor shares with its workers.

    generation, counts of the supervisor u64 │ problem 448 bytes of text │ place 0 │ place 1 │ …
    a place: heartbeat u64 │ 1 once it answers u64 │ its counts

The supervisor writes what comes first, each worker the place that it fills;
aligned words are written whole, so nobody needs a lock. Whoever fills a place
later goes on counting where the last one ended.
"""

import mmap
import os
import time
from typing import Final

from serve.counting import N_WORDS, Counts, summed

_GENERATION: Final = 0
_SUPERVISED: Final = {"respawns": 1, "swaps": 2, "refusals": 3, "retreats": 4}
_PROBLEM: Final = slice(64, 512)
_PLACES: Final = 64  # the first word of these
_HEARTBEAT, _READY, _COUNTS = 0, 1, 2
_PLACE_WORDS: Final = _COUNTS + N_WORDS


class Scoreboard:
    """Made before the workers are forked; they inherit it.

    Attributes:
        n_places: How many workers may fill one.
        descriptor: Of its memory, for a program that takes over.
    """

    def __init__(self, n_places: int, descriptor: int | None = None) -> None:
        """Make a page, or take over that of `descriptor` if it is of the same size."""
        n_bytes = 8 * (_PLACES + _PLACE_WORDS * n_places)
        if descriptor is None or os.fstat(descriptor).st_size != n_bytes:
            descriptor = os.memfd_create("marquee-page")
            os.truncate(descriptor, n_bytes)
        self.n_places = n_places
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, n_bytes)
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

    def count(self, what: str) -> None:
        """Count one of `respawns`, `swaps`, `refusals`, `retreats`: the supervisor's own."""
        self._words[_SUPERVISED[what]] += 1

    def supervised(self) -> dict[str, int]:
        """Return what the supervisor has counted."""
        return {what: self._words[word] for what, word in _SUPERVISED.items()}

    # A worker's place

    def enter(self, place: int) -> None:
        """Fill a place that serves nothing yet."""
        self._words[self._word(place, _READY)] = 0
        self.beat(place)

    def beat(self, place: int) -> None:
        """Say that this worker's main loop runs."""
        self._words[self._word(place, _HEARTBEAT)] = time.monotonic_ns()

    def seconds_since_beat(self, place: int) -> float:
        """How long that worker's main loop has been silent."""
        return (time.monotonic_ns() - self._words[self._word(place, _HEARTBEAT)]) / 1e9

    def say_ready(self, place: int) -> None:
        """Say that this worker answers requests."""
        self._words[self._word(place, _READY)] = 1

    def is_ready(self, place: int) -> bool:
        """Tell whether the worker in that place answers requests."""
        return self._words[self._word(place, _READY)] != 0

    def write_counts(self, place: int, counts: Counts) -> None:
        """Show a worker's counts to the others."""
        begin = self._word(place, _COUNTS)
        self._words[begin : begin + N_WORDS] = memoryview(counts.words())

    def read_counts(self, place: int) -> Counts:
        """Return what has been counted in that place."""
        begin = self._word(place, _COUNTS)
        return Counts(self._words[begin : begin + N_WORDS])

    def total_counts(self) -> Counts:
        """Return what has been counted in all places."""
        return summed(self.read_counts(place) for place in range(self.n_places))

    @staticmethod
    def _word(place: int, word: int) -> int:
        return _PLACES + place * _PLACE_WORDS + word
