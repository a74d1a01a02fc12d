"""Detection of changed files."""

from pathlib import Path


def file_state(file: Path) -> tuple[int, ...] | None:
    """Return a value that changes whenever the file is replaced.

    Returns:
        None if the file does not exist, and () if that cannot be determined: an
        attempt to read it then raises the reason.
    """
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size
