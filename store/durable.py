"""Durable writes: after a power cut the old state is there or the new one, whole.

The order is: the file's bytes to disk, the rename, the directory's names to
disk. After a failed fsync nothing is retried, for the kernel may have dropped the
bytes (see "fsyncgate", PostgreSQL 2018): the caller discards its build.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_UMASK: Final = 0o027  # files are 0640 and directories 0750


def keep_from_others() -> None:
    """Make new files of this process readable by its user and group alone, or by fewer.

    Stores, partitions and quarantine name users. A command calls this before it writes.
    """
    os.umask(os.umask(_UMASK) | _UMASK)


def fsync_path(path: Path) -> None:
    """Force a file, or the names in a directory, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durable(path: Path, text: str) -> None:
    """Write a new file and force its bytes (not yet its name) to disk."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replace_durable(path: Path, text: str) -> None:
    """Make `path` hold `text`: readers find the old text or the new one.

    Raises:
        OSError: The old text is in place, and nothing is left behind. If only the last
            step failed, the new text is in place, and a power cut may undo it.
    """
    pending = path.with_name(f"{path.name}.pending")
    try:
        write_durable(pending, text)
        pending.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            pending.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)  # the new name lives in the directory, not in the file


def append_durable(path: Path, line: str) -> None:
    """Add one line to a log and force it to disk, its name too when it is new."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        fsync_path(path.parent)
