"""The access log: JSON lines that nginx writes, rotated by size and by age."""

import contextlib
import itertools
import json
import stat
import time
from datetime import datetime
from pathlib import Path
from typing import Final

from serve.settings import ServeSettings

_MODE: Final = 0o640
_SECONDS_PER_DAY: Final = 86400
_CHECK_AGE_SECONDS: Final = 60.0
_MAX_LINE_BYTES: Final = 64 << 10


class AccessLog:
    """The file of the access log and its rotated predecessors."""

    def __init__(self, settings: ServeSettings) -> None:
        self._path = Path(settings.access_log).absolute() if settings.access_log else None
        self._max_bytes = settings.access_log_mib << 20
        self._n_kept = settings.access_log_keep
        self._max_age_seconds = settings.access_log_days * _SECONDS_PER_DAY
        self._checked_at = float("-inf")

    def close_to_others(self) -> None:
        """Take other users' rights from logs that an earlier version or setting has left."""
        for path in self._files():
            with contextlib.suppress(OSError):  # not there, or another user's
                path.chmod(stat.S_IMODE(path.stat().st_mode) & _MODE)

    def is_full(self) -> bool:
        """Return whether it is time to rotate."""
        try:
            if self._path is None:
                return False
            if self._path.stat().st_size >= self._max_bytes:
                return True
            return self._is_due() and self._is_old(self._path)
        except OSError:
            return False

    def is_public(self) -> bool:
        """Return whether every user may enter the folders above it."""
        folders = self._path.parents if self._path else ()
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)

    def rotate(self) -> None:
        """Move access.log to access.log.1, that to access.log.2, and drop the oldest."""
        assert self._path is not None
        for old, new in reversed([*itertools.pairwise(self._files())]):
            if old.exists():
                old.replace(new)

    def _files(self) -> list[Path]:
        """Return the paths of the log and its predecessors, the latest first."""
        numbers = range(1, self._n_kept + 1)
        return [self._path, *(Path(f"{self._path}.{n}") for n in numbers)] if self._path else []

    def _is_due(self) -> bool:
        """Return whether ages have to be looked at again."""
        now = time.monotonic()
        if not self._max_age_seconds or now - self._checked_at < _CHECK_AGE_SECONDS:
            return False
        self._checked_at = now
        return True

    def _is_old(self, path: Path) -> bool:
        self._remove_old()
        return time.time() - _began_at(path) > self._max_age_seconds

    def _remove_old(self) -> None:
        for path in self._files()[1:]:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > self._max_age_seconds:
                    path.unlink()


def _began_at(path: Path) -> float:
    """Return the time of the first line in seconds; of the last change if there is none."""
    with path.open("rb") as file:
        line = file.readline(_MAX_LINE_BYTES)
    try:
        return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
    except (ValueError, KeyError, TypeError, RecursionError):
        return path.stat().st_mtime
