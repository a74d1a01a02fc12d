"""A look at a file of events, which is read whole by the reader of the refresh.

file ─► EventReader ─► events ─► users, items, ranges, the first rows
             └──► quarantine in a temporary directory ─► rejected lines by reason
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.events.events import EventCollector, Events
from batch.events.parsed import Parsed, Piece, watched_part
from batch.events.quarantine import Quarantine, QuarantineLimits
from batch.events.read import DEFAULT_READ_SIZES, EventReader, OpenFile, event_kinds
from batch.inspection.view import N_ROWS, Look, Reading
from batch.progress import noop
from batch.settings import BatchSettings

_WARNING: Final = "warning: "
_N_RATINGS: Final = 2  # of the rows that are shown, if there are views too


def look_at_events(path: Path, settings: BatchSettings) -> Look:
    """Read a path as events.

    Args:
        path: Path of a file or an archive.
        settings: Settings of the batch.

    Raises:
        InputError: A file is damaged.
        UnreadKindError: No file of it has events.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        Quarantine(Path(folder), "look", QuarantineLimits(max_bytes=0)) as quarantine,
    ):
        kinds, all_lines = event_kinds(settings), replace(settings, max_rejected_share=1.0)
        reader = EventReader(kinds, quarantine, all_lines, noop, DEFAULT_READ_SIZES, noop)
        opened, not_read = reader.open_all([path])
        limit = settings.max_rejected_share
        return Look({str(file.file): _read(file, reader, limit) for file in opened}, not_read)


def _read(opened: OpenFile, reader: EventReader, max_rejected_share: float) -> Reading:
    first, collector = _FirstRows(), EventCollector()
    rejected: Counter[str] = Counter()

    def pieces() -> Iterator[Piece]:
        for piece in opened.pieces:
            rejected.update(piece.rejected.reasons)
            yield piece

    def add(parsed: Parsed) -> None:
        first.add(parsed)
        collector.add(parsed)

    source = reader.read(opened, pieces(), add)
    events = collector.events((source,))
    share = source.n_rejected / max(source.n_lines, 1)
    warnings = [note.removeprefix(_WARNING) for note in source.notes if note.startswith(_WARNING)]
    if share > max_rejected_share:
        allowed = f"[batch] max_rejected_share allows {max_rejected_share:.0%}"
        warnings.append(f"a refresh stops: {share:.1%} of the lines are rejected, {allowed}")
    return Reading(
        use="events",
        kind=source.kind,
        columns=dict(opened.columns),
        rows=first.rows(),
        counts=_counts(events),
        ranges=_ranges(events),
        rejected=dict(rejected.most_common()),
        rejected_share=round(share, 4),
        notes=[note for note in source.notes if not note.startswith(_WARNING)],
        warnings=warnings,
    )


class _FirstRows:
    """The first views and ratings of a file, before they are folded."""

    def __init__(self) -> None:
        self._views: list[dict[str, Any]] = []
        self._ratings: list[dict[str, Any]] = []

    def add(self, parsed: Parsed) -> None:
        """Keep the first rows of the events of one piece."""
        if len(self._views) < N_ROWS:
            self._views += map(_view, parsed.views[:N_ROWS].to_pylist())
        if len(self._ratings) < N_ROWS:
            self._ratings += map(_rating, parsed.ratings[:N_ROWS].to_pylist())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows to show: views, and some ratings."""
        n_ratings = min(len(self._ratings), max(_N_RATINGS, N_ROWS - len(self._views)))
        return [*self._views[: N_ROWS - n_ratings], *self._ratings[:n_ratings]]


def _view(row: dict[str, Any]) -> dict[str, Any]:
    minute = row["minute"]
    shown = {"user": row["user_id"], "item": row["item_id"]}
    if minute is not None and minute >= 0:
        shown["minutes"] = minute
    elif minute is not None:
        shown["watched"] = round(float(watched_part(np.array([minute], np.float32))[0]), 3)
    times = {"time": row["first_at"], "last": row["last_at"]}
    if times["time"] == times["last"]:
        del times["last"]
    return shown | {name: _iso(at) for name, at in times.items() if at}


def _rating(row: dict[str, Any]) -> dict[str, Any]:
    shown = {"user": row["user_id"], "item": row["item_id"], "rating": round(row["rating"], 3)}
    return shown | ({"time": _iso(row["at"])} if row["at"] else {})


def _counts(events: Events) -> dict[str, int]:
    (source,) = events.sources
    tables = events.views, events.ratings
    users, items = (
        len(pa.chunked_array([chunk for table in tables for chunk in table[column].chunks],
                             tables[0][column].type).unique())
        for column in ("user_id", "item_id")
    )  # fmt: skip
    counts = {
        "lines": source.n_lines,
        "rejected": source.n_rejected,
        "users": users,
        "items": items,
        "views": int(pc.sum(events.views["n_events"], min_count=0).as_py()),
        "ratings": events.ratings.num_rows,
        "accounts": events.n_accounts,
        "answers": events.n_answers,
    }
    return {name: n for name, n in counts.items() if n or name in ("lines", "users", "items")}


def _ranges(events: Events) -> dict[str, tuple[Any, Any]]:
    minute = pc.drop_null(events.views["minute"])
    minutes = minute.filter(pc.greater_equal(minute, 0))
    parts = watched_part(minute.filter(pc.less(minute, 0)).to_numpy().astype(np.float32))
    times = pa.chunked_array(
        [chunk for column in (events.views["first_at"], events.views["last_at"],
                              events.ratings["at"]) for chunk in column.chunks], pa.int64()
    )  # fmt: skip
    times = times.filter(pc.greater(pc.fill_null(times, 0), 0))
    ranges = {
        "rating": _range(events.ratings["rating"]),
        "minutes": _range(minutes),
        "watched": _range(pa.array(parts)),
        "time": tuple(map(_iso, _range(times))),
    }
    return {name: both for name, both in ranges.items() if both}


def _range(column: pa.Array | pa.ChunkedArray) -> tuple[Any, ...]:
    if not len(column):
        return ()
    both = pc.min_max(column).as_py()
    return tuple(round(one, 3) for one in (both["min"], both["max"]))


def _iso(at: int) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat().removesuffix("+00:00")
    except (ValueError, OverflowError, OSError):  # a year beyond 9999
        return str(at)
