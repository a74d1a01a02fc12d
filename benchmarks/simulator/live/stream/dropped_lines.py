"""Lines that were lost, counted and named by the first and the last of them."""

from collections.abc import Sequence

from benchmarks.simulator.live.errors import StreamError


class Losses:
    """What one stream has lost.

    Attributes:
        n_lines: How many.
    """

    def __init__(self) -> None:
        self.n_lines = 0
        self._first = self._last = b""

    def add(self, lines: Sequence[bytes]) -> None:
        """Count lines that are lost, in order of time."""
        if not lines:
            return
        if not self.n_lines:
            self._first = lines[0]
        self.n_lines += len(lines)
        self._last = lines[-1]

    def check(self, thing: object, way_out: str) -> None:
        """Pass if nothing is lost.

        Raises:
            StreamError: Something is.
        """
        if self.n_lines:
            what = f"{self.n_lines:,} lines are lost, first {_shown(self._first)}"
            raise StreamError(thing, f"{what}, last {_shown(self._last)}", way_out)


def _shown(line: bytes) -> str:
    return repr(line.decode(errors="replace"))
