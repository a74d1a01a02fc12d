"""The scoreboard: the memory that the supervisor shares with its workers.

    generations, the supervisor's counts u64 │ problem 432 bytes of text │ slot 0 │ slot 1 │ …
    a slot: heartbeat u64 │ 1 if ready u64 │ counts of its worker

The supervisor writes the header, each worker its own slot. Aligned words are written
whole, so no lock is needed. The next worker of a slot continues its counts.
"""

import mmap
import os
import time
from typing import Final

from serve.counting import N_WORDS, Counts, total

_GENERATION_WORD: Final = 0
_SUPERVISOR_WORDS: Final = {"respawns": 1, "swaps": 2, "refusals": 3, "retreats": 4}
_INDEXED_WORD: Final = 5
_RECENT_WORD: Final = 6
_FRESH_WORD: Final = 7
_EXPERIMENT_WORD: Final = 8
_INDEXED_ARMS_WORD: Final = 9
_PROBLEM_BYTES: Final = slice(80, 512)
_FIRST_SLOT_WORD: Final = 64
_HEARTBEAT, _READY, _COUNTS = 0, 1, 2  # words of a slot
_SLOT_WORDS: Final = _COUNTS + N_WORDS


class Scoreboard:
    """Shared memory, made before the fork and inherited by the workers.

    Attributes:
        n_slots: Number of slots, the maximum number of workers at a time.
        descriptor: File descriptor of the memory, for the next program after a reload.
    """

    def __init__(self, n_slots: int, descriptor: int | None = None) -> None:
        """Make a scoreboard, or map that of `descriptor` if it has the same size."""
        n_bytes = 8 * (_FIRST_SLOT_WORD + _SLOT_WORDS * n_slots)
        if descriptor is None or os.fstat(descriptor).st_size != n_bytes:
            descriptor = os.memfd_create("marquee-scoreboard")
            os.truncate(descriptor, n_bytes)
        self.n_slots = n_slots
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, n_bytes)
        self._words = memoryview(self._memory).cast("Q")

    # The header, written by the supervisor

    @property
    def generation(self) -> int:
        """Verified generation that the workers serve, 0 before the first."""
        return self._words[_GENERATION_WORD]

    @generation.setter
    def generation(self, generation: int) -> None:
        self._words[_GENERATION_WORD] = generation

    @property
    def indexed_generation(self) -> int:
        """Generation whose item index has passed its check, 0 for none."""
        return self._words[_INDEXED_WORD]

    @indexed_generation.setter
    def indexed_generation(self, generation: int) -> None:
        self._words[_INDEXED_WORD] = generation

    @property
    def experiment(self) -> int:
        """Tag of the experiment whose arms have been verified, 0 for none."""
        return self._words[_EXPERIMENT_WORD]

    @experiment.setter
    def experiment(self, tag: int) -> None:
        self._words[_EXPERIMENT_WORD] = tag

    @property
    def indexed_arms(self) -> int:
        """Arms whose item index has passed its check: bit n for arm n."""
        return self._words[_INDEXED_ARMS_WORD]

    @indexed_arms.setter
    def indexed_arms(self, bits: int) -> None:
        self._words[_INDEXED_ARMS_WORD] = bits

    @property
    def recent_inode(self) -> int:
        """Inode of the file of recent views that has passed its check, 0 for none."""
        return self._words[_RECENT_WORD]

    @recent_inode.setter
    def recent_inode(self, inode: int) -> None:
        self._words[_RECENT_WORD] = inode

    @property
    def fresh_inode(self) -> int:
        """Inode of the file of fresh lists that has passed its check, 0 for none."""
        return self._words[_FRESH_WORD]

    @fresh_inode.setter
    def fresh_inode(self, inode: int) -> None:
        self._words[_FRESH_WORD] = inode

    @property
    def problem(self) -> str:
        """Description of the store's current problem, empty without one."""
        return self._memory[_PROBLEM_BYTES].rstrip(b"\0").decode("utf-8", "replace")

    @problem.setter
    def problem(self, text: str) -> None:
        size = _PROBLEM_BYTES.stop - _PROBLEM_BYTES.start
        self._memory[_PROBLEM_BYTES] = text.encode(errors="replace")[:size].ljust(size, b"\0")

    def count(self, event: str) -> None:
        """Count one of `respawns`, `swaps`, `refusals` and `retreats`."""
        self._words[_SUPERVISOR_WORDS[event]] += 1

    def supervisor_counts(self) -> dict[str, int]:
        """Return the supervisor's counts by event."""
        return {event: self._words[word] for event, word in _SUPERVISOR_WORDS.items()}

    # A slot, written by its worker

    def enter(self, slot: int) -> None:
        """Start a worker's use of a slot, not ready yet."""
        self._words[self._word(slot, _READY)] = 0
        self.beat(slot)

    def beat(self, slot: int) -> None:
        """Record that this worker's main loop runs."""
        self._words[self._word(slot, _HEARTBEAT)] = time.monotonic_ns()

    def seconds_since_beat(self, slot: int) -> float:
        """Return the age of that worker's last heartbeat."""
        return (time.monotonic_ns() - self._words[self._word(slot, _HEARTBEAT)]) / 1e9

    def mark_ready(self, slot: int) -> None:
        """Record that this worker answers requests."""
        self._words[self._word(slot, _READY)] = 1

    def is_ready(self, slot: int) -> bool:
        """Return whether the worker in that slot answers requests."""
        return self._words[self._word(slot, _READY)] != 0

    def write_counts(self, slot: int, counts: Counts) -> None:
        """Publish a worker's counts."""
        begin = self._word(slot, _COUNTS)
        self._words[begin : begin + N_WORDS] = memoryview(counts.words())

    def read_counts(self, slot: int) -> Counts:
        """Return the counts of one slot."""
        begin = self._word(slot, _COUNTS)
        return Counts(self._words[begin : begin + N_WORDS])

    def total_counts(self, experiment: int = 0) -> Counts:
        """Return the counts of all slots, added up; of arms those of one experiment."""
        return total((self.read_counts(slot) for slot in range(self.n_slots)), experiment)

    @staticmethod
    def _word(slot: int, word: int) -> int:
        return _FIRST_SLOT_WORD + slot * _SLOT_WORDS + word
