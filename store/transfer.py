"""A transfer from a remote: its rate is limited, and its progress shown.

piece arrived ─► pause, so that the average rate stays below the limit
              ─► terminal: `store/progress.py`      elsewhere: a log line now and then
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from store.errors import ReplicaError
from store.progress import Advance, on_terminal

_LOGGED_SECONDS: Final = 10.0  # between two lines of a log
_MB: Final = 1e6

_log = logging.getLogger(__name__)


class Transfer:
    """Counts what arrives of one snapshot; `add` is called for each piece."""

    def __init__(
        self,
        max_bytes_per_second: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Make one that has not begun.

        Args:
            max_bytes_per_second: Highest average rate; 0 for no limit.
            clock: Function that returns the time in seconds.
            sleep: Function that waits for some seconds.
        """
        self._rate = max_bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._is_terminal = sys.stderr.isatty()
        self._cancelled_for = ""
        self._what, self._total, self._n_bytes = "", 0, 0
        self._began_at = self._logged_at = clock()
        self._advance: Advance = lambda _: None

    @property
    def is_limited(self) -> bool:
        """Whether the rate is limited, so that pieces should be small."""
        return self._rate > 0

    @contextlib.contextmanager
    def shown(self, what: str, n_bytes: int) -> Iterator[None]:
        """Begin to count, and show the progress until the `with` ends.

        Args:
            what: What is transferred, for people.
            n_bytes: Size of all that will arrive.
        """
        self._what, self._total, self._n_bytes = what, n_bytes, 0
        self._began_at = self._logged_at = self._clock()
        with on_terminal(what, n_bytes) as self._advance:
            yield

    def cancel(self, why: str) -> None:
        """End the transfer at its next piece; called from another thread."""
        self._cancelled_for = why

    def add(self, n_bytes: int) -> None:
        """Count a piece; wait until it may have arrived at the highest rate.

        Raises:
            ReplicaError: The transfer was cancelled.
        """
        if self._cancelled_for:
            problem = f"its transfer was ended: {self._cancelled_for}"
            raise ReplicaError(self._what, problem, "the next pull follows")
        self._n_bytes += n_bytes
        if self._rate:
            due_at = self._began_at + self._n_bytes / self._rate
            self._sleep(max(due_at - self._clock(), 0.0))
        self._advance(n_bytes)
        if not self._is_terminal and self._clock() - self._logged_at >= _LOGGED_SECONDS:
            self._logged_at = self._clock()
            self._log()

    def _log(self) -> None:
        rate = self._n_bytes / max(self._clock() - self._began_at, 1e-9)
        _log.info(
            "%s: %s of %s MB, %s MB/s",
            self._what,
            *(f"{n / _MB:,.1f}" for n in (self._n_bytes, self._total, rate)),
        )
