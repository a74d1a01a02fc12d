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
Piece = TypeVar("Piece")

_FILES_AHEAD: Final = 2


class _End:
    """No piece: the file is over."""


def read_ahead(
    files: Iterable[tuple[Name, Iterator[Piece]]], n_threads: int
) -> Iterator[tuple[Name, Iterator[Piece]]]:
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
    begun: deque[tuple[Name, Iterator[Piece], Future[Piece | _End]]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:

        def begin(n: int) -> None:
            for _, (name, pieces) in zip(range(n), remaining, strict=False):
                begun.append((name, pieces, pool.submit(_next, pieces)))

        begin(1 + _FILES_AHEAD)
        while begun:
            name, pieces, first = begun.popleft()
            yield name, _one_ahead(pieces, first, pool)
            begin(1)


def _one_ahead(
    pieces: Iterator[Piece], first: Future[Piece | _End], pool: ThreadPoolExecutor
) -> Iterator[Piece]:
    piece = first.result()
    while not isinstance(piece, _End):
        following = pool.submit(_next, pieces)
        yield piece
        piece = following.result()


def _next(pieces: Iterator[Piece]) -> Piece | _End:
    return next(pieces, _End())
