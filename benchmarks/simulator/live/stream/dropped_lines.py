"""Dropped lines: their number, and the first and the last of them."""

from collections.abc import Sequence

from benchmarks.simulator.live.errors import StreamError


class DroppedLines:
    """Dropped lines of one stream.

    Attributes:
        n_lines: Number of dropped lines.
    """

    def __init__(self) -> None:
        self.n_lines = 0
        self._first = self._last = b""

    def add(self, lines: Sequence[bytes]) -> None:
        """Count dropped lines, in order of time."""
        if not lines:
            return
        if not self.n_lines:
            self._first = lines[0]
        self.n_lines += len(lines)
        self._last = lines[-1]

    def check(self, stream: object, remedy: str) -> None:
        """Return if no line was dropped.

        Raises:
            StreamError: Lines were dropped.
        """
        if self.n_lines:
            problem = f"{self.n_lines:,} lines dropped, first {_quoted(self._first)}"
            raise StreamError(stream, f"{problem}, last {_quoted(self._last)}", remedy)


def _quoted(line: bytes) -> str:
    return repr(line.decode(errors="replace"))
