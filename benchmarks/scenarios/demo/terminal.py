"""A picture of a few lines at the end of the output, redrawn in place on a terminal.

    == 4. Traffic …                     printed once, above the picture
      server: … serves generation 2     also above it
      requests       1,733              the picture
      success        100 %

Where the output is not a terminal, a plain line every few seconds takes its place.
"""

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, TextIO

_UP_AND_CLEAR: Final = "\x1b[{}F\x1b[J"  # cursor to the picture's first line, rest erased
_PLAIN_SECONDS: Final = 5.0


class Picture:
    """The picture, and whatever else is printed while it stands.

    Args:
        out: Stream that it is drawn on.
        plain_seconds: Time between two plain lines where `out` is not a terminal.
    """

    def __init__(self, out: TextIO | None = None, *, plain_seconds: float = _PLAIN_SECONDS) -> None:
        self._out = out or sys.stdout
        self._plain_seconds = plain_seconds
        self._drawn: list[str] = []
        self._last_plain, self._pending_plain = -plain_seconds, ""
        self._lock = threading.RLock()

    def draw(self, lines: Sequence[str], plain: str) -> None:
        """Replace the picture.

        Args:
            lines: New picture.
            plain: The same in one line, printed where `out` is not a terminal.
        """
        with self._lock:
            if self._out.isatty():
                self._erase()
                self._put(lines)
            elif time.monotonic() - self._last_plain >= self._plain_seconds:
                self._last_plain, self._pending_plain = time.monotonic(), ""
                print(plain, file=self._out, flush=True)
            else:
                self._pending_plain = plain

    def print(self, text: str, file: TextIO | None = None) -> None:
        """Print a text above the picture.

        Args:
            text: One line or several.
            file: Stream to print to; None: the picture's own.
        """
        with self._lock:
            lines = self._drawn
            self._erase()
            print(text, file=file or self._out, flush=True)
            self._put(lines)

    def finish(self) -> None:
        """Leave the picture as it is; the last plain line is printed if it was not due yet."""
        with self._lock:
            self._drawn = []
            if self._pending_plain:
                print(self._pending_plain, file=self._out, flush=True)
            self._pending_plain = ""

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(_UP_AND_CLEAR.format(len(self._drawn)))
            self._out.flush()
        self._drawn = []

    def _put(self, lines: Sequence[str]) -> None:
        width = shutil.get_terminal_size().columns - 1  # a wrapped line would count as two
        self._drawn = [line[:width] for line in lines]
        for line in self._drawn:
            self._out.write(line + "\n")
        self._out.flush()
