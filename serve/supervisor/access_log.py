"""The access log: JSON lines that nginx writes, rotated by size."""

import itertools
import stat
from pathlib import Path

from serve.settings import ServeSettings


class AccessLog:
    """The file of the access log and its rotated predecessors."""

    def __init__(self, settings: ServeSettings) -> None:
        self._path = Path(settings.access_log).absolute() if settings.access_log else None
        self._max_bytes = settings.access_log_mib << 20
        self._n_kept = settings.access_log_keep

    def is_full(self) -> bool:
        """Return whether it is time to rotate."""
        try:
            return self._path is not None and self._path.stat().st_size >= self._max_bytes
        except OSError:
            return False

    def is_public(self) -> bool:
        """Return whether every user may enter the folders above it."""
        folders = self._path.parents if self._path else ()
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)

    def rotate(self) -> None:
        """Move access.log to access.log.1, that to access.log.2, and drop the oldest."""
        assert self._path is not None
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, self._n_kept + 1))]
        for old, new in reversed([*itertools.pairwise(names)]):
            if old.exists():
                old.replace(new)
