"""Events of all files, each of a kind that is recognized by its content.

stream log   ratings.csv   u.data   ratings.dat   pairs (TSV)   Parquet
     └────────────┴───────────┴─────────┴─────────────┴────────────┘
                              │ parse, validate, quarantine
                              ▼
                 views and ratings, folded, one Events

`read_events` is the one way to read events: the settings name the files, the patterns of
ids, the quarantine and its limit.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from batch.errors import InputError, RejectedError
from batch.events.ahead import read_ahead
from batch.events.day_files import grouped_by_day, read_day
from batch.events.events import FOLD_ROWS, EventCollector, EventFile, Events
from batch.events.kinds import EventKind, event_kinds
from batch.events.lines import BLOCK_BYTES, Block, read_blocks
from batch.events.parquet import PARQUET_ROWS, read_parquet
from batch.events.parsed import Parsed, Piece, Rejected
from batch.events.quarantine import Quarantine
from batch.files import head_lines, is_parquet
from batch.settings import BatchSettings
from batch.threads import usable

_PARQUET: Final = "Parquet"


@dataclass(frozen=True, slots=True)
class ReadSizes:
    """How much is read and held at a time; the events do not depend on it.

    Attributes:
        block_bytes: Bytes of text that are parsed at a time.
        parquet_rows: Rows of Parquet that are read at a time.
        fold_rows: Least number of unfolded views that are folded.
    """

    block_bytes: int = BLOCK_BYTES
    parquet_rows: int = PARQUET_ROWS
    fold_rows: int = FOLD_ROWS


DEFAULT_READ_SIZES: Final = ReadSizes()


class EventInput(NamedTuple):
    """Events of all files, and a summary of the rejected lines.

    Attributes:
        events: Views and ratings.
        rejected: Number of rejected lines by reason.
        quarantine: File of the rejected lines, None without any.
    """

    events: Events
    rejected: Counter[str]
    quarantine: Path | None


def read_events(
    settings: BatchSettings,
    began_at: datetime | None = None,
    on_lines: Callable[[int], object] = lambda _: None,
    sizes: ReadSizes = DEFAULT_READ_SIZES,
) -> EventInput:
    """Read all files that the settings name; broken lines are written to the quarantine.

    Args:
        settings: Settings of the batch: events, patterns of ids, quarantine, threads.
        began_at: Time after which the quarantine's file is named; None for now.
        on_lines: Function that is called with the number of lines of each block.
        sizes: How much is read at a time.

    Raises:
        InputError: No file is named, or one is missing, unreadable, empty or of no known kind.
        RejectedError: More of a file was rejected than the settings allow.
    """
    kinds = event_kinds(settings.user_pattern, settings.item_pattern)
    collector = EventCollector(sizes.fold_rows)
    with Quarantine.of_run(settings, began_at or datetime.now(UTC)) as quarantine:
        reader = EventReader(kinds, quarantine, settings.max_rejected_share, on_lines, sizes)
        opened = [reader.open_day(files) for files in grouped_by_day(event_files(settings))]
        with_pieces = ((file, file.pieces) for file in opened)
        with contextlib.closing(read_ahead(with_pieces, usable(settings.n_threads))) as ahead:
            files = tuple(
                source
                for file, pieces in ahead
                for source in (reader.read(file, pieces, collector.add), *file.segments)
            )
    rejected = quarantine.counts
    return EventInput(collector.events(files), rejected, quarantine.path if rejected else None)


class OpenFile(NamedTuple):
    """A file of a known kind, not read yet.

    Attributes:
        path: Path of the file.
        kind: Name of its kind.
        pieces: Pieces of the file, which are parsed on request.
        segments: Other files whose rows the pieces contain.
    """

    path: Path
    kind: str
    pieces: Iterator[Piece]
    segments: tuple[EventFile, ...] = ()


@dataclass(frozen=True, slots=True)
class EventReader:
    """Reads files of events piece by piece.

    Attributes:
        kinds: Kinds of text files that are recognized.
        quarantine: Quarantine of the rejected lines.
        max_rejected_share: Largest share of a file's lines that may be rejected.
        on_lines: Function that is called with the number of lines of each piece.
        sizes: How much is read at a time.
    """

    kinds: Sequence[EventKind]
    quarantine: Quarantine
    max_rejected_share: float
    on_lines: Callable[[int], object]
    sizes: ReadSizes

    def read_file(self, path: Path, add: Callable[[Parsed], object]) -> EventFile:
        """Read one file.

        Args:
            path: Path of the file.
            add: Function that is called with the events of each piece.

        Raises:
            InputError: It is missing, unreadable, empty or of no known kind.
            RejectedError: More of it was rejected than is allowed.
        """
        file = self.open(path)
        return self.read(file, file.pieces, add)

    def open_day(self, files: Sequence[Path]) -> OpenFile:
        """Open a file, or a day's file and its segments as one.

        Raises:
            InputError: A file is missing, unreadable, empty or of no known kind.
        """
        if len(files) == 1:
            return self.open(files[0])
        # Their rows are counted with the first file's: folding leaves fewer than they have.
        segments = tuple(EventFile(path, _PARQUET, 0, 0) for path in files[1:])
        return OpenFile(files[0], _PARQUET, read_day(files), segments)

    def open(self, path: Path) -> OpenFile:
        """Recognize the kind of a file.

        Raises:
            InputError: It is missing, unreadable, empty or of no known kind.
        """
        if is_parquet(path):
            return OpenFile(path, _PARQUET, read_parquet(path, self.sizes.parquet_rows))
        lines = head_lines(path)
        kind = max(self.kinds, key=lambda kind: kind.n_matches(lines))
        if not kind.n_matches(lines):
            names = ", ".join([*(kind.name for kind in self.kinds), _PARQUET])
            first = next((line for line in lines if line.strip()), "")
            raise InputError(
                path,
                f"is not a file of events: it begins with {first[:60]!r}",
                f"give one of the known kinds: {names}",
            )
        return OpenFile(path, kind.name, self._parse(path, kind, kind.has_header(lines)))

    def read(
        self, file: OpenFile, pieces: Iterator[Piece], add: Callable[[Parsed], object]
    ) -> EventFile:
        """Read the pieces of an open file.

        Args:
            file: File that was opened.
            pieces: Pieces of this file, perhaps read ahead.
            add: Function that is called with the events of each piece.

        Raises:
            InputError: It is unreadable.
            RejectedError: More of it was rejected than is allowed.
        """
        n_lines = 0
        reasons: Counter[str] = Counter()
        for piece in pieces:
            self.quarantine.add(str(file.path), piece.rejected)
            n_lines += piece.n_lines
            reasons.update(piece.rejected.reasons)
            self._check_share(file, n_lines, reasons, piece.max_lines_left)
            add(piece.parsed)
            self.on_lines(piece.n_lines)
        self._check_share(file, n_lines, reasons)
        return EventFile(file.path, file.kind, n_lines, reasons.total())

    def _parse(self, path: Path, kind: EventKind, has_header: bool) -> Iterator[Piece]:
        min_line_bytes = kind.min_line_bytes
        for block in read_blocks(path, self.sizes.block_bytes, min_line_bytes=min_line_bytes):
            is_first = block.first_number == 1
            body = block._replace(lines=block.lines[1:], first_number=2)
            body = body if has_header and is_first else block
            parsed = kind.parse(body.lines)
            yield Piece(len(body.lines), parsed, _rejected(body, parsed), body.max_lines_left)

    def _check_share(
        self, file: OpenFile, n_lines: int, reasons: Counter[str], max_lines_left: int = 0
    ) -> None:
        """Raise once the rest of the file, all of it valid, could not lower the share enough."""
        n_rejected = reasons.total()
        if n_rejected > self.max_rejected_share * (n_lines + max_lines_left):
            most_frequent, n_most_frequent = reasons.most_common(1)[0]
            lines = f"the first {n_lines:,}" if max_lines_left else f"{n_lines:,}"
            raise RejectedError(
                file.path,
                f"{n_rejected:,} of {lines} lines are broken, read as {file.kind}, "
                f"most often: {most_frequent} ({n_most_frequent:,})",
                f"look into {self.quarantine.path}; if these lines may be dropped, "
                "raise [batch] max_rejected_share",
            )


def event_files(settings: BatchSettings) -> list[Path]:
    """Return the files of events that the settings name.

    A directory stands for every file below it that is not empty and whose path has no part
    that begins with `.` or `_`.

    Raises:
        InputError: No file is named, a directory holds none, or a link in it leads out of it.
    """
    check_named(settings)
    files: list[Path] = []
    for path in map(Path, settings.events):
        below = sorted(path.rglob("*")) if path.is_dir() else []
        found = [file for file in below if _has_events(file, path)] if path.is_dir() else [path]
        if not found:
            raise InputError(path, "is a directory without events", "put event files into it")
        files += found
    return files


def check_named(settings: BatchSettings) -> None:
    """Check that the settings name files of events.

    Raises:
        InputError: They name none.
    """
    if not settings.events:
        raise InputError("events", "none given", "name files with --events, or in [batch] events")


def _has_events(path: Path, folder: Path) -> bool:
    """Return whether a file below a directory is one of events, not empty, hidden or a mark.

    Raises:
        InputError: It is a link that leads out of the directory.
    """
    if any(part.startswith((".", "_")) for part in path.relative_to(folder).parts):
        return False
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        problem = f"is a link that leads out of {folder}"
        raise InputError(path, problem, "name its target in [batch] events, or copy it there")
    return path.is_file() and path.stat().st_size > 0


def _rejected(block: Block, parsed: Parsed) -> Rejected:
    lines = block.lines.take(pa.array(parsed.rejected))
    return Rejected(parsed.reasons, block.first_number + parsed.rejected, [lines])
