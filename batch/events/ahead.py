"""Reading ahead: the next pieces are made on other processors while one is being used.

file 1   ▓ ▓ ▓            used by one thread, in the order of the files,
file 2       ▒ ▒ ▒        made by others, one piece of each file ahead
file 3         ░
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Name = TypeVar("Name")
T = TypeVar("T")

_FILES_AHEAD: Final = 2


class _End:
    """No piece: the file is over."""


def read_ahead(
    files: Iterable[tuple[Name, Iterator[T]]], n_threads: int
) -> Iterator[tuple[Name, Iterator[T]]]:
    """Yield the same files, the first pieces of the next ones already being made.

    Each must be used up before the next one is taken. What goes wrong in making a piece
    is raised where that piece is asked for; what was begun is waited for at the end.

    Args:
        files: What they are called, and pieces that can be made in another thread.
        n_threads: That make them; with 1, each is made here when it is asked for.
    """
    if n_threads < 2:
        yield from files
        return
    remaining = iter(files)
    begun: deque[tuple[Name, Iterator[T]]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:

        def begin(n: int) -> None:
            for _, (name, pieces) in zip(range(n), remaining, strict=False):
                begun.append((name, _one_ahead(pieces, [pool.submit(_next, pieces)], pool)))

        begin(1 + _FILES_AHEAD)
        while begun:
            yield begun.popleft()
            begin(1)


def _one_ahead(
    pieces: Iterator[T], being_made: list[Future[T | _End]], pool: ThreadPoolExecutor
) -> Iterator[T]:
    # a list, as whoever holds a future holds its piece
    while not isinstance(piece := being_made.pop().result(), _End):
        being_made.append(pool.submit(_next, pieces))
        yield piece


def _next(pieces: Iterator[T]) -> T | _End:
    return next(pieces, _End())
