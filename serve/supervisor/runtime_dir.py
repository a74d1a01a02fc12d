"""The front's own directory, and what is left of those whose servers are dead.

    /tmp/marquee-x1y2z3/
        owner       locked as long as any process of its server lives

A server that was killed could not remove its directory; the next one that
starts does, where it can have the lock.
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


def make_folder() -> Path:
    """Make one and hold it; the children and the next program go on holding it.

    Raises:
        OSError: There is no room for it; nothing is left of it.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=PARENT))
    try:
        folder.chmod(0o755)  # nginx's workers are not root, even if we are
        pending = folder / f"{_OWNER}.pending"  # nobody sees it before it is locked
        owner = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
        os.set_inheritable(owner, True)  # never closed: the lock ends with the last who has it
        pending.rename(folder / _OWNER)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def remove_left_over() -> None:
    """Remove the directories of servers that are dead, so far as they were ours."""
    for owner in PARENT.glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError):  # it lives, is another user's, or has just gone
            _remove_if_dead(owner)


def _remove_if_dead(owner: Path) -> None:
    folder = owner.parent
    if folder.lstat().st_uid != os.geteuid():
        return  # anybody may put anything there
    descriptor = os.open(owner, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
