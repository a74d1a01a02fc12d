"""Readers of partitions: while a refresh reads them, the collector removes no file.

    var/events/.readers     refresh: shared lock    fold and retention: exclusive, or later

A collector folds segments into the days' files and removes them; a refresh lists files,
reads them, and hashes them at its end. New segments may appear meanwhile.
"""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_READERS: Final = ".readers"


@contextlib.contextmanager
def reading(paths: Sequence[str]) -> Iterator[None]:
    """Keep the files of partitions where they are, until the end of the block.

    Args:
        paths: Files or directories of events; only directories of a collector have a lock.
    """
    with contextlib.ExitStack() as stack:
        for path in paths:
            with contextlib.suppress(OSError):  # no directory of a collector
                lock = stack.enter_context((Path(path) / _READERS).open("rb"))
                fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def make_lock(folder: Path) -> None:
    """Make the lock of the readers, before there is anything that may be removed.

    Raises:
        OSError: It cannot be made.
    """
    (folder / _READERS).touch()


@contextlib.contextmanager
def without_readers(folder: Path) -> Iterator[bool]:
    """Hold off readers of a folder of partitions; yield whether there was none.

    Args:
        folder: Directory of the partitions, which exists.

    Raises:
        OSError: The lock cannot be made.
    """
    with (folder / _READERS).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
