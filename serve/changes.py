"""Has a file changed since it was last looked at?"""

from pathlib import Path


def file_state(file: Path) -> tuple[int, ...] | None:
    """Return what is another whenever the file is replaced.

    None while there is none, and nothing at all, (), while nobody can tell: whoever
    reads it then will hear why.
    """
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size
