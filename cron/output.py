"""The logs of jobs: one file a job, of limited size, and its end for messages."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_STDERR: Final = 2
_MAX_BYTES: Final = 8 << 20  # the file before it is kept as well
_END_BYTES: Final = 2000

_log = logging.getLogger(__name__)


def log_file(folder: str, job: str) -> Path | None:
    """Return the file of a job's output; None for standard error."""
    return Path(folder) / f"{job}.log" if folder else None


@contextlib.contextmanager
def opened(file: Path | None) -> Iterator[int]:
    """Yield a descriptor for the output of a run; a file that is too long becomes `NAME.log.1`.

    Where the file cannot be written it is standard error.
    """
    descriptor = _STDERR if file is None else _appending(file)
    try:
        yield descriptor
    finally:
        if descriptor != _STDERR:
            os.close(descriptor)


def _appending(file: Path) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_size > _MAX_BYTES:
                file.replace(file.with_name(f"{file.name}.1"))
        return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        _log.error("%s: cannot be written, output goes to standard error: %s", file, error)
        return _STDERR


def last_line(file: Path | None) -> str:
    """Return the last line of a log that is not blank; empty without one."""
    if file is None:
        return ""
    try:
        with file.open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - _END_BYTES, 0))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
