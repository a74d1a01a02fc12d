"""Whether data of a job have grown enough since its last run to run it now."""

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cron.jobs import Job

_PAUSE: Final = timedelta(minutes=1)  # between two looks at the size of a job's data


class DataSizes:
    """The sizes of the data of jobs, measured once a minute."""

    def __init__(self) -> None:
        self._measured: dict[str, tuple[datetime, int]] = {}

    def of(self, job: Job, now: datetime) -> int:
        """Return the size of a job's data in bytes, at most a minute old."""
        at, size = self._measured.get(job.name, (None, 0))
        if at is None or not at <= now < at + _PAUSE:
            size = size_of(job.data)
            self._measured[job.name] = now, size
        return size


def size_of(paths: Iterable[str]) -> int:
    """Return the size in bytes of files, and of all files below directories.

    What cannot be read, or does not exist yet, counts as empty.
    """
    return sum(_size(Path(path)) for path in paths)


def has_grown(job: Job, before: int, now: int) -> bool:
    """Return whether a job's data have grown by one of its thresholds.

    Args:
        job: Job with `data`.
        before: Size in bytes when its last run began.
        now: Size in bytes now.
    """
    growth = now - before
    enough_mib = job.data_mib and growth >= job.data_mib * (1 << 20)
    enough_share = job.data_share and growth >= max(job.data_share * before, 1)
    return bool(enough_mib or enough_share)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH118, PTH116
            except OSError:  # removed just now
                continue
    return total
