"""New files: those of the partitions that the snapshot has not read, or not as they are now.

    manifest   views-2026-11-14.parquet  812,331 bytes  sha256 5e1f…
    views/date=2026-11-14/views-2026-11-14.parquet               same hash      read by the snapshot
    views/date=2026-11-14/views-2026-11-14.s000000042.parquet    not in it      new
    views/date=2026-11-13/views-2026-11-13.parquet               another hash   new, the whole of it

A file is never written in place, so inode, size and time of change identify its content.
A day that was folded of files that all were read is not read again; any other folded day is,
and events that are read twice change nothing.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from batch.events.day_files import DayFile
from batch.events.folded import FileVersion, folded_from
from store.manifest import sha256

_KINDS: Final = ("views", "ratings")
_SETTLED_SECONDS: Final = 2.0  # a folder's time of change is coarser than a change


class NewFiles:
    """Finds files with events that the snapshot has not read.

    Args:
        folder: Directory of the partitions, which need not exist.
        inputs: Inputs in the snapshot's manifest.
    """

    def __init__(self, folder: Path, inputs: list[dict[str, Any]]) -> None:
        self._folder = folder
        self._read = {(one["name"], one["bytes"], one["sha256"]) for one in inputs}
        self._sizes = {(name, n_bytes) for name, n_bytes, _ in self._read}
        self._found: dict[Path, FileVersion] = {}
        self._done: set[FileVersion] = set()
        self._listed: dict[Path, int] = {}

    def look(self) -> list[Path]:
        """Return files that are new since the last look, segments first."""
        new = [path for day in self._changed_days() for path in self._new_in(day)]
        return sorted(new, key=lambda path: (not is_segment(path), path.name))

    def mark_read(self, path: Path) -> None:
        """Take note that all events of a file which was found are in lists."""
        if path in self._found:
            self._done.add(self._found[path])

    def is_read_in_parts(self, path: Path) -> bool:
        """Return whether a day's file was folded of files that were read; then it is read too.

        Raises:
            InputError: It is damaged.
            OSError: It does not exist.
        """
        parts = folded_from(path)
        if not parts or not self._done.issuperset(parts):
            return False
        self._done.difference_update(parts)
        self.mark_read(path)
        return True

    def _changed_days(self) -> Iterator[Path]:
        for kind in _KINDS:
            for day in _entries(self._folder / kind):
                changed_ns = _changed_ns(day)
                if changed_ns and self._listed.get(day) != changed_ns:
                    age_ns = time.time_ns() - changed_ns
                    self._listed[day] = changed_ns if age_ns > _SETTLED_SECONDS * 1e9 else 0
                    yield day

    def _new_in(self, day: Path) -> Iterator[Path]:
        for path in _entries(day):
            file = DayFile.of(path)
            if file is None or file.kind.name not in _KINDS:
                continue
            try:
                version = FileVersion.of(path)
                if self._found.get(path) == version:
                    continue
                is_new = not self._is_read(path, version.n_bytes)
            except OSError:  # merged into the day's file meanwhile
                continue
            self._found[path] = version
            if is_new:
                yield path
            else:
                self.mark_read(path)

    def _is_read(self, path: Path, n_bytes: int) -> bool:
        if (path.name, n_bytes) not in self._sizes:
            return False
        return (path.name, n_bytes, sha256(path)) in self._read


def is_segment(path: Path) -> bool:
    """Return whether a file is a segment, and not a whole day."""
    file = DayFile.of(path)
    return file is not None and file.segment is not None


def _entries(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder)]
    except OSError:
        return []


def _changed_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
