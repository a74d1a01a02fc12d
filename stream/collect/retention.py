"""Retention: the oldest days are removed when they are too old, or too many bytes.

    var/events/.collector/REMOVED      one JSON line a removed file, synced before its removal
        {"path": "views/date=2026-05-01/…", "bytes": …, "rows": …, "sha256": …, "why": …}

A snapshot's manifest names the files that it was made of: their summary and hash stay. The
removal itself is an intent in the ledger, which the next start completes. The age of a day
is counted from the newest one, future dates left out: a replay of an old log is kept.
"""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from batch.events.day_files import DayFile, all_files, n_rows_of
from batch.events.partitions import locked_for_writing
from batch.events.readers import without_readers
from store.durable import append_durable, fsync_path
from store.manifest import sha256
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import Ledger
from stream.settings import StreamSettings

_MIB: Final = 1 << 20


class OldDay(NamedTuple):
    """A day that is to be removed.

    Attributes:
        day: Day, such as `2026-05-01`.
        files: Files of the day, of all types of events.
        why: Reason of the removal.
    """

    day: str
    files: list[Path]
    why: str


class DiskPressure(NamedTuple):
    """What is not kept for want of free space.

    Attributes:
        drops_answers: Whether answers are dropped.
        drops_text: Whether the text of quarantined lines is dropped as well.
    """

    drops_answers: bool
    drops_text: bool


def disk_pressure(folder: Path, min_free_mib: float) -> DiskPressure:
    """Return what is not kept with the space that is free now.

    Args:
        folder: Directory on the disk.
        min_free_mib: Free space in MiB below which answers are dropped, and text below half.
    """
    free = shutil.disk_usage(folder).free / _MIB
    return DiskPressure(free < min_free_mib, free < min_free_mib / 2)


def remove_old_days(
    folder: CollectorFolder, ledger: Ledger, settings: StreamSettings
) -> list[OldDay]:
    """Remove the days that are too old or too many; return them.

    Args:
        folder: Paths of the collector.
        ledger: Ledger, open for writing.
        settings: Settings of the stream.

    Raises:
        OSError: A day cannot be removed; the next start completes what was begun.
    """
    removed: list[OldDay] = []
    for old in old_days(folder.events, settings, datetime.now(UTC).date()):
        try:
            with locked_for_writing(folder.events), without_readers(folder.events) as is_free:
                if not is_free:
                    return removed
                _remove(folder, ledger, old)
        except BlockingIOError:  # an ingest writes: the next time
            return removed
        removed.append(old)
    return removed


def old_days(events: Path, settings: StreamSettings, today: date) -> Iterator[OldDay]:
    """Yield the days that are too old or too many, oldest first; never the newest.

    Args:
        events: Directory of the partitions.
        settings: Settings of the stream.
        today: Date of the machine.
    """
    days: dict[str, list[Path]] = {}
    for _, path in all_files(events):
        if name := DayFile.of(path):
            days.setdefault(name.day, []).append(path)
    sizes = {day: sum(path.stat().st_size for path in files) for day, files in days.items()}
    n_bytes = sum(sizes.values())
    is_plausible = (today + timedelta(days=1)).isoformat()
    newest = max((day for day in days if day <= is_plausible), default=max(days, default=""))
    for day in sorted(days):
        if day == newest:
            continue
        age = (date.fromisoformat(newest) - date.fromisoformat(day)).days
        if settings.keep_days and age > settings.keep_days:
            yield OldDay(day, days[day], f"older than {settings.keep_days:g} days")
        elif settings.max_bytes and n_bytes > settings.max_bytes:
            yield OldDay(day, days[day], f"more than {settings.max_bytes:,} bytes of events")
        else:
            continue
        n_bytes -= sizes[day]


def _remove(folder: CollectorFolder, ledger: Ledger, old: OldDay) -> None:
    paths = [str(path.relative_to(folder.events)) for path in old.files]
    for path, name in zip(old.files, paths, strict=True):
        summary = {
            "path": name,
            "bytes": path.stat().st_size,
            "rows": n_rows_of(path),
            "sha256": sha256(path),
            "why": old.why,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        append_durable(folder.removed, json.dumps(summary) + "\n")
    ledger.append({"kind": "removal", "paths": paths})
    for path in old.files:
        path.unlink()
    for directory in {path.parent for path in old.files}:
        if not any(directory.iterdir()):
            directory.rmdir()
        fsync_path(directory.parent)
