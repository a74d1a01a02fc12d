"""One instance: the scheduler holds `var/cron/LOCK` while it runs.

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise CronError(folder, f"cannot be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(path, "another `python -m cron` is running") from None
        yield
