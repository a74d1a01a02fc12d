"""One instance: the scheduler holds `var/cron/LOCK` while it runs, and `NAME.lock` for a job.

The kernel releases the lock when its holder ends in any way, so no stale lock
has to be removed. The child process does not inherit it.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cron.errors import AlreadyRunningError, CronError

_LOCK: Final = "LOCK"


@contextlib.contextmanager
def one_instance(folder: Path) -> Iterator[None]:
    """Make `folder` if it does not exist, and hold its lock.

    Raises:
        AlreadyRunningError: Another process holds it.
        CronError: The folder cannot be made or written to.
    """
    path = folder / _LOCK
    make_folder(folder)
    try:
        lock = path.open("a")
    except OSError as error:
        raise CronError(folder, f"cannot be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(path, "another `python -m cron` is running") from None
        yield


def make_folder(folder: Path) -> None:
    """Make the directory of locks and states, if it does not exist.

    Raises:
        CronError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CronError(folder, f"cannot be written to: {error.strerror}") from error


def is_free(folder: Path, job: str) -> bool:
    """Return whether a job is not running."""
    with locked_job(folder, job) as free:
        return free


@contextlib.contextmanager
def locked_job(folder: Path, job: str) -> Iterator[bool]:
    """Hold the lock of a job; yield whether it was free.

    A lock that cannot be made, on a full disk, keeps no job from running.
    """
    try:
        lock = (folder / f"{job}.lock").open("a")
    except OSError:
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
