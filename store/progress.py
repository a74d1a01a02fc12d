"""Progress of long work on a terminal: one line that is drawn anew, and nothing in a log.

    with on_terminal("recs.mdb", n_bytes) as advance:
        advance(n)      ─►      recs.mdb  ━━━━━━━━━━━╌╌╌╌╌╌╌╌╌  55%  1,180.2 of 2,145.8 MB  12 s

The line is removed at the end: what was done is said by the command itself.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

Advance = Callable[[int], object]
Progress = Callable[[str, int], AbstractContextManager[Advance]]

_WIDTH: Final = 20
_MIN_SECONDS: Final = 0.1  # between two drawings
_CLEAR: Final = "\r\033[K"


@contextlib.contextmanager
def silent(_name: str, _n_bytes: int) -> Iterator[Advance]:
    """Show nothing; the progress of work that no person waits for."""
    yield lambda _: None


@contextlib.contextmanager
def on_terminal(name: str, n_bytes: int) -> Iterator[Advance]:
    """Show progress on standard error if it is a terminal; yields a function of bytes done.

    Args:
        name: What is worked on.
        n_bytes: All that is to be done.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = _Bar(name, n_bytes)
    bar.advance(0)
    try:
        yield bar.advance
    finally:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()


class _Bar:
    def __init__(self, name: str, n_bytes: int) -> None:
        self._name = name
        self._n_bytes = n_bytes
        self._n_done = 0
        self._began_at = time.monotonic()
        self._drawn_at = 0.0

    def advance(self, n_bytes: int) -> None:
        """Count bytes, and draw, unless that was done a moment ago."""
        self._n_done += n_bytes
        now = time.monotonic()
        if now - self._drawn_at >= _MIN_SECONDS:
            self._drawn_at = now
            sys.stderr.write(_CLEAR + self._line(now - self._began_at))
            sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        share = min(self._n_done / self._n_bytes, 1.0) if self._n_bytes else 1.0
        n_full = int(share * _WIDTH)
        bar = "━" * n_full + "╌" * (_WIDTH - n_full)
        done, whole = self._n_done / 1e6, self._n_bytes / 1e6
        return f"{self._name}  {bar}  {share:4.0%}  {done:,.1f} of {whole:,.1f} MB  {seconds:.0f} s"
