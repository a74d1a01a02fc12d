"""Whether data of a job have grown enough since its last run to run it now."""

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cron.jobs import Job
from cron.state import JobState

_PAUSE: Final = timedelta(minutes=1)  # between two looks at the size of a job's data


class DataSizes:
    """The sizes of the files of jobs, measured once a minute."""

    def __init__(self) -> None:
        self._measured: dict[str, tuple[datetime, int]] = {}

    def of(self, job: Job, now: datetime) -> int:
        """Return the size of a job's files in bytes, at most a minute old."""
        at, size = self._measured.get(job.name, (None, 0))
        if at is None or not at <= now < at + _PAUSE:
            size = size_of(job.files)
            self._measured[job.name] = now, size
        return size


def size_of(paths: Iterable[str]) -> int:
    """Return the size in bytes of files, and of all files below directories.

    What cannot be read, or does not exist yet, counts as empty.
    """
    return sum(_size(Path(path)) for path in paths)


def has_grown(job: Job, state: JobState, n_bytes: int, n_rows: int | None) -> bool:
    """Return whether a job's data have grown by one of its thresholds.

    Args:
        job: Job with `data`.
        state: State since its last run began.
        n_bytes: Size of its files in bytes now.
        n_rows: Number of rows of its databases now; None if it is not known.
    """
    is_more = _is_enough(n_bytes, state.data_bytes, job.data_mib * (1 << 20), job.data_share)
    return is_more or (
        n_rows is not None and _is_enough(n_rows, state.data_rows, job.data_rows, job.data_share)
    )


def _is_enough(now: int, before: int, min_growth: float, min_share: float) -> bool:
    """Return whether the growth reaches a number or a share; 0: none."""
    growth = now - before
    is_number = bool(min_growth) and growth >= min_growth
    return is_number or (bool(min_share) and growth >= max(min_share * before, 1))


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
