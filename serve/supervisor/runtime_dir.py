"""nginx's runtime directory, and removal of those whose servers are dead.

    /tmp/marquee-x1y2z3/
        owner       locked as long as any process of its server lives

A killed server cannot remove its directory. The next server that starts removes
every directory whose lock it can take.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PARENT: Final = Path("/tmp")  # noqa: S108 - a socket's path has 107 bytes, names are random
_PREFIX: Final = "marquee-"
_OWNER: Final = "owner"


def make_runtime_dir(parent: Path = PARENT) -> Path:
    """Make one and lock it; the children and the next program keep the lock.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        folder.chmod(0o755)  # nginx's workers are not root, even if we are
        pending = folder / f"{_OWNER}.pending"  # `owner` must not exist before it is locked
        owner = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
        os.set_inheritable(owner, True)  # never closed: the lock ends with its last holder
        pending.rename(folder / _OWNER)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def remove_abandoned(parent: Path = PARENT) -> None:
    """Remove the runtime directories of this user's dead servers."""
    for owner in parent.glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError):  # its server lives, it is another user's, or just gone
            _remove_if_dead(owner)


def _remove_if_dead(owner: Path) -> None:
    folder = owner.parent
    if folder.lstat().st_uid != os.geteuid():
        return  # any user may put anything there
    descriptor = os.open(owner, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
