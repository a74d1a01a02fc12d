"""Folding: segments are merged into the day's file, in the background.

    views-2026-11-14.parquet  .s000000041  .s000000042   ─►  views-2026-11-14.parquet

A flush does not rewrite the day: a day is folded when it has many segments, or old ones.
The new file is written aside, synced, renamed over the day's, and only then the segments are
removed. A crash in between leaves segments whose rows the day has too, which readers and the
next folding treat alike. It waits while a refresh reads, and while an ingest writes.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from batch.events.day_files import (
    DayFile,
    all_files,
    grouped_by_day,
    is_segment_file,
    merged_rows,
    write_rows,
)
from batch.events.folded import FileVersion
from batch.events.partitions import locked_for_writing
from batch.events.positions import Positions
from batch.events.readers import without_readers
from store.durable import fsync_path
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import Ledger
from stream.settings import StreamSettings

_MINUTE_SECONDS: Final = 60.0
FOLD_PENDING: Final = "fold.parquet"


def fold_days(
    folder: CollectorFolder, ledger: Ledger, settings: StreamSettings, *, all_days: bool = False
) -> int:
    """Fold the days that have many segments, or old ones; return the number of segments.

    Args:
        folder: Paths of the collector.
        ledger: Ledger, open for writing.
        settings: Settings of the stream.
        all_days: Whether days are folded that have few and young segments too.

    Raises:
        FencedError: Another collector has begun.
        InputError: A file is damaged.
        OSError: There is no room; no day is changed by halves.
    """
    n_folded = 0
    for files in _days_with_segments(folder.events):
        segments = [path for path in files if is_segment_file(path)]
        if all_days or _is_due(segments, settings):
            try:
                with (
                    locked_for_writing(folder.events),
                    without_readers(folder.events) as is_free,
                ):
                    if not is_free:
                        return n_folded
                    ledger.check()
                    fold_day(folder, files)
            except BlockingIOError:  # an ingest writes: the next time
                return n_folded
            n_folded += len(segments)
    return n_folded


def fold_day(folder: CollectorFolder, files: list[Path]) -> None:
    """Merge a day's file and its segments, and remove the segments.

    Raises:
        InputError: A file is damaged.
        OSError: There is no room; the day is unchanged.
    """
    name = DayFile.of(files[0])
    assert name is not None
    day = name._replace(segment=None).path(folder.events)
    pending = folder.own / FOLD_PENDING
    try:
        positions = Positions.union(Positions.of_file(path) for path in files)
        versions = [FileVersion.of(path) for path in files]
        write_rows(name.kind, pending, merged_rows(name.kind, files), positions, versions)
        fsync_path(pending)
        pending.replace(day)
        fsync_path(day.parent)
    finally:
        pending.unlink(missing_ok=True)
    for path in files:
        if path != day:
            path.unlink()
    fsync_path(day.parent)


def n_segments(events: Path) -> int:
    """Return the number of segments that no day's file contains yet."""
    return sum(is_segment_file(path) for _, path in all_files(events))


def _days_with_segments(events: Path) -> Iterator[list[Path]]:
    for files in grouped_by_day(path for _, path in all_files(events)):
        if any(is_segment_file(path) for path in files):
            yield files


def _is_due(segments: list[Path], settings: StreamSettings) -> bool:
    oldest = min(path.stat().st_mtime for path in segments)
    is_old = time.time() - oldest >= settings.fold_minutes * _MINUTE_SECONDS
    return is_old or len(segments) >= settings.fold_segments
