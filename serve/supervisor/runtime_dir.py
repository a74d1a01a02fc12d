"""nginx's runtime directory, and removal of those whose servers are dead.

    /run/user/1000/marquee-x1y2z3a4/     or below /tmp; mode 0750
        owner       a marker, locked as long as any process of its server lives

A killed server cannot remove its directory. The next server that starts removes
every directory with such a marker whose lock it can take.
"""

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from serve.settings import UNSAFE_IN_NGINX_CONF

_SHARED: Final = Path("/tmp")  # noqa: S108 - a socket's path has 107 bytes, names are random
_MAX_PARENT_CHARACTERS: Final = 64
_PREFIX: Final = "marquee-"
_NAME: Final = re.compile(_PREFIX + r"[a-z0-9_]{8}")  # as `mkdtemp` makes them
_OWNER: Final = "owner"
_MARKER: Final = "runtime directory of a Marquee server\n"
_MAX_MARKER_BYTES: Final = 4096
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def runtime_parent(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where runtime directories are made: `$XDG_RUNTIME_DIR` where it is ours, or `/tmp`.

    Root's nginx runs as nobody, who may not enter root's.
    """
    folder = Path(environ.get("XDG_RUNTIME_DIR", ""))
    text = str(folder)
    is_short = len(text) <= _MAX_PARENT_CHARACTERS and not UNSAFE_IN_NGINX_CONF.search(text)
    if os.geteuid() != 0 and folder.is_absolute() and is_short:
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                return folder
    return _SHARED


def make_runtime_dir(parent: Path) -> Path:
    """Make one and lock it; the children and the next program keep the lock.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        _open_for_nginx(folder)
        _mark(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def make_again(folder: Path) -> None:
    """Make the parts anew that a cleaner of old files has removed: the folder and its marker.

    Raises:
        OSError: They cannot be written, or another user has made something of that name.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        _open_for_nginx(folder)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{folder}: is not this server's any more; restart the server")
    if not (folder / _OWNER).exists():
        _mark(folder)


def remove_abandoned(parent: Path) -> None:
    """Remove the runtime directories of this user's dead servers."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # its server lives, it is another user's, or just gone
            _remove_if_dead(folder)


def _open_for_nginx(folder: Path) -> None:
    """Let nginx's workers in by the group, which all that is made inside inherits."""
    if os.geteuid() == 0:
        os.chown(folder, -1, pwd.getpwnam("nobody").pw_gid)
        folder.chmod(0o2750)
    else:
        folder.chmod(0o750)


def _mark(folder: Path) -> None:
    pending = folder / f"{_OWNER}.pending"  # `owner` must not exist before it is locked
    owner = os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    boot = _BOOT_ID.read_text(encoding="ascii") if _BOOT_ID.exists() else "unknown\n"
    os.write(owner, f"{_MARKER}pid {os.getpid()}\nboot {boot}".encode())
    os.set_inheritable(owner, True)  # never closed: the lock ends with its last holder
    pending.rename(folder / _OWNER)


def _remove_if_dead(folder: Path) -> None:
    status = folder.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not is_ours or not _NAME.fullmatch(folder.name):
        return  # any user may put anything there
    descriptor = os.open(folder / _OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        marker = os.fstat(descriptor)
        if not stat.S_ISREG(marker.st_mode) or marker.st_uid != os.geteuid():
            return
        if not os.read(descriptor, _MAX_MARKER_BYTES).startswith(_MARKER.encode()):
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
