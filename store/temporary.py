"""Temporary files: what is fetched is read from disk, which a read-only root may not have."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from store.errors import ReplicaError


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a directory below `TMPDIR` or /tmp, and remove it at the end.

    Raises:
        ReplicaError: None can be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="marquee-")
    except OSError as error:
        problem = f"no directory for them can be written to: {error.strerror}"
        remedy = "make room, or set TMPDIR to a directory that can be written to"
        raise ReplicaError("temporary files", problem, remedy) from error
    with folder as name:
        yield Path(name)
