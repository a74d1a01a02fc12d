"""Locks of a store, and the rights of its directory.

    store/              0750: other users of the machine see nothing of it
        LOCK            0600, held by the writer of snapshots and of `CURRENT`
        TAKEDOWN.LOCK   0600, held for the moment of a takedown

A user who may read a file may lock it, and so keep its owner waiting. Only
the owner may open these.
"""

import contextlib
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from store.errors import StoreBusyError, WriteError

WAIT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.02
_STORE_MODE: Final = 0o750
_LOCK_MODE: Final = 0o600

log = logging.getLogger(__name__)


def make_store(store: Path) -> None:
    """Make the store's directory, or take the rights of other users from an existing one.

    Raises:
        OSError: It can be neither made nor examined.
    """
    with contextlib.suppress(FileExistsError):
        store.parent.mkdir(parents=True, exist_ok=True)
        store.mkdir(mode=_STORE_MODE)
    status = store.stat()
    if not status.st_mode & stat.S_IRWXO:
        return
    if status.st_uid == os.geteuid() and stat.S_ISDIR(status.st_mode):
        store.chmod(stat.S_IMODE(status.st_mode) & ~stat.S_IRWXO)
    else:
        log.warning("%s: open to every user of this machine; `chmod o= %s` closes it", store, store)


@contextlib.contextmanager
def locked(path: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock on a file, which is made if it does not exist.

    Args:
        path: The file.
        wait_seconds: Longest wait for another holder.

    Raises:
        StoreBusyError: Another process holds it.
        WriteError: The file cannot be made or opened.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise WriteError(path, f"cannot be written to: {error.strerror}") from error
    try:
        _lock(descriptor, path, time.monotonic() + wait_seconds)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _LOCK_MODE)
    with contextlib.suppress(PermissionError):  # another user's, which the store's rights protect
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != _LOCK_MODE:
            os.fchmod(descriptor, _LOCK_MODE)
        if os.geteuid() == 0:  # a command of root must not shut out the store's owner
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def _lock(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise StoreBusyError(
                    path.parent,
                    "another process is writing to it",
                    f"wait until it ends, then try again; `fuser -v {path}` names it",
                ) from None
            time.sleep(_RETRY_SECONDS)
        else:
            return
