"""Progress of long work on a terminal: one line that is drawn anew, and nothing in a log.

    with on_terminal("recs.mdb", n_bytes) as advance:
        advance(n)      ─►      recs.mdb  ━━━━━━━━━━━╌╌╌╌╌╌╌╌╌  55%  1,180.2 of 2,145.8 MB  12 s

The line is removed at the end: what was done is said by the command itself. A log line that
is written meanwhile begins with `clear_line`, and the next drawing stands below it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol, TypeVar

Advance = Callable[[int], object]
Counted = TypeVar("Counted")

_WIDTH: Final = 20
_MIN_SECONDS: Final = 0.1  # between two drawings
_CLEAR: Final = "\r\033[K"
_COLUMNS: Final = 80  # where the width of the terminal is unknown
_BATCH: Final = 256  # records counted at a time: the clock takes longer than a record


class Unit(NamedTuple):
    """A unit of progress.

    Attributes:
        name: Name, in the plural.
        size: How many of what is counted it holds.
    """

    name: str
    size: int = 1


MEGABYTES: Final = Unit("MB", 1_000_000)
RECORDS: Final = Unit("records")


class Progress(Protocol):
    """What shows the progress of a piece of work: `on_terminal`, or `silent`."""

    def __call__(
        self, name: str, n_whole: int, unit: Unit = MEGABYTES
    ) -> AbstractContextManager[Advance]:
        """Begin to show it; the context yields a function of what is done since its last call.

        Args:
            name: What is worked on.
            n_whole: All that is to be done, in bytes or records; 0 if unknown.
            unit: Unit in which it is shown.
        """


@contextlib.contextmanager
def silent(name: str, n_whole: int, unit: Unit = MEGABYTES) -> Iterator[Advance]:
    """Show nothing; the progress of work that no person waits for."""
    yield ignore


@contextlib.contextmanager
def on_terminal(name: str, n_whole: int, unit: Unit = MEGABYTES) -> Iterator[Advance]:
    """Show progress on standard error if it is a terminal; see `Progress`."""
    if not sys.stderr.isatty():
        yield ignore
        return
    bar = _Bar(name, n_whole, unit)
    bar.advance(0)
    try:
        yield bar.advance
    finally:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()


def ignore(_: int) -> None:
    """Ignore what is done."""


def counted(records: Iterable[Counted], advance: Advance) -> Iterator[Counted]:
    """Yield the records, and count them."""
    n_records = 0
    for n_records, record in enumerate(records, 1):
        yield record
        if not n_records % _BATCH:
            advance(_BATCH)
    advance(n_records % _BATCH)


def clear_line() -> str:
    """Return what a line on standard error begins with, so that it replaces what is drawn."""
    return _CLEAR if sys.stderr.isatty() else ""


class _Bar:
    def __init__(self, name: str, n_whole: int, unit: Unit) -> None:
        self._name = name
        self._n_whole = n_whole
        self._unit = unit
        self._n_done = 0
        self._began_at = time.monotonic()
        self._drawn_at = 0.0

    def advance(self, n_done: int) -> None:
        """Count what was done, and draw, unless that was done a moment ago."""
        self._n_done += n_done
        now = time.monotonic()
        if now - self._drawn_at >= _MIN_SECONDS:
            self._drawn_at = now
            line = self._line(now - self._began_at)[: _columns() - 1]  # a second one would stay
            sys.stderr.write(_CLEAR + line)
            sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        if not self._n_whole:
            return f"{self._name}  {seconds:.0f} s"
        share = min(self._n_done / self._n_whole, 1.0)
        n_full = int(share * _WIDTH)
        bar = "━" * n_full + "╌" * (_WIDTH - n_full)
        done, whole = (self._shown(n) for n in (self._n_done, self._n_whole))
        return (
            f"{self._name}  {bar}  {share:4.0%}  {done} of {whole} {self._unit.name}"
            f"  {seconds:.0f} s"
        )

    def _shown(self, n: int) -> str:
        size = self._unit.size
        return f"{n:,}" if size == 1 else f"{n / size:,.1f}"


def _columns() -> int:
    """Return the width of the terminal that is standard error."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
