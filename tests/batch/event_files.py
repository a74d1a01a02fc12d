"""Files of events: tests write them, read them, and look at the events and the quarantine."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batch.events.events import Events
from batch.events.read import DEFAULT_READ_SIZES, ReadSizes, read_events
from batch.settings import BatchSettings

AT = "2022-11-14T12:23:12"
BEGAN_AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def event_settings(
    *paths: Path, quarantine: Path, max_rejected_share: float = 1.0
) -> BatchSettings:
    """Return settings that name these paths as events."""
    return BatchSettings(
        events=tuple(map(str, paths)),
        quarantine=str(quarantine),
        max_rejected_share=max_rejected_share,
    )


@dataclass(frozen=True)
class EventFolder:
    """A folder with files of events, and the quarantine of their broken lines."""

    path: Path

    def read(
        self,
        *contents: str | bytes,
        name: str = "file",
        max_rejected_share: float = 1.0,
        on_lines: Callable[[int], object] = lambda _: None,
        sizes: ReadSizes = DEFAULT_READ_SIZES,
    ) -> Events:
        """Write each content to a file of its own, named after its number, and read them."""
        paths = []
        for number, content in enumerate(contents):
            paths.append(self.path / f"{number}-{name}")
            paths[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
        settings = event_settings(
            *paths, quarantine=self.path / "quarantine", max_rejected_share=max_rejected_share
        )
        return read_events(settings, BEGAN_AT, on_lines, sizes).events

    def quarantined(self) -> list[tuple[bytes, ...]]:
        """Return the fields of each quarantined line."""
        path = self.path / "quarantine" / "2026-11-21T093000.000000Z.tsv"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [tuple(line.split(b"\t", 3)) for line in lines]


def parquet(**columns: Any) -> bytes:
    """Return the bytes of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def watch(user: object, item: object, minute: object) -> str:
    """Return the line of a watched minute."""
    return f"{AT},{user},GET /data/m/{item}/{minute}.mpg\n"


def views(events: Events) -> list[tuple[Any, ...]]:
    """Return (user, item, minute, events), sorted."""
    return sorted(
        (tuple(view.values())[:4] for view in events.views.to_pylist()),
        key=lambda view: (view[0], view[1]),
    )


def ratings(events: Events) -> list[tuple[Any, ...]]:
    """Return (user, item, rating, at), sorted."""
    return sorted(tuple(rating.values()) for rating in events.ratings.to_pylist())


def outcome(events: Events) -> tuple[Any, ...]:
    """Return all events, without the files."""
    return views(events), ratings(events), events.n_accounts, events.n_answers
