"""Reading ahead: other threads prepare the next pieces while one piece is being used.

file 1   ▓ ▓ ▓            used by one thread, in the order of the files,
file 2       ▒ ▒ ▒        prepared by other threads, one piece of each file ahead
file 3         ░
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Label = TypeVar("Label")
T = TypeVar("T")

_FILES_AHEAD: Final = 2


class _End:
    """Marks the end of a file."""


def read_ahead(
    files: Iterable[tuple[Label, Iterator[T]]], n_threads: int
) -> Generator[tuple[Label, Iterator[T]], None, None]:
    """Yield the same files while the first pieces of the next ones are being prepared.

    Each file must be used up before the next one is requested. An error in a piece is
    raised where that piece is requested. Started pieces are waited for at the end, or when
    the generator is closed: a caller that may stop early closes it, or one of its own
    threads might, which cannot wait for itself.

    Args:
        files: Label and pieces of each file; pieces may be made in another thread.
        n_threads: Number of threads that make pieces; with 1, pieces are made on request.
    """
    if n_threads < 2:
        yield from files
        return
    remaining = iter(files)
    started: deque[tuple[Label, Iterator[T]]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:

        def start(n: int) -> None:
            for _, (label, pieces) in zip(range(n), remaining, strict=False):
                started.append((label, _one_ahead(pieces, [pool.submit(_next, pieces)], pool)))

        start(1 + _FILES_AHEAD)
        while started:
            yield started.popleft()
            start(1)


def _one_ahead(
    pieces: Iterator[T], pending: list[Future[T | _End]], pool: ThreadPoolExecutor
) -> Iterator[T]:
    # a list, from which the future is removed: a future keeps its piece in memory
    while not isinstance(piece := pending.pop().result(), _End):
        pending.append(pool.submit(_next, pieces))
        yield piece


def _next(pieces: Iterator[T]) -> T | _End:
    return next(pieces, _End())
