"""Events of all files, each of a kind that is recognized by its content.

stream log   JSON   Netflix, Steam, item lists   delimited text   Parquet
     └─────────┴──────────────┴────────────────────────┴─────────────┘
                            │ parse, validate, quarantine
                            ▼
               views and ratings, folded, one Events

`read_events` is the one way to read events: the settings name the files, the patterns of
ids, the quarantine and its limit. `read_pieces` is its loop, for what needs only a part of them.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.columns.notes import without_range
from batch.errors import InputError, RejectedError, UnreadKindError
from batch.events.ahead import read_ahead
from batch.events.day_files import grouped_by_day, read_day
from batch.events.delimited import delimited
from batch.events.events import FOLD_ROWS, EventCollector, EventFile, Events
from batch.events.item_lists import item_lists
from batch.events.json_kind import json_events
from batch.events.kinds import EventKind, TextReader, kind_of, stream_log
from batch.events.lines import BLOCK_BYTES, Block, read_blocks
from batch.events.netflix import netflix
from batch.events.parquet import open_events
from batch.events.parquet_file import PARQUET_ROWS
from batch.events.parsed import Parsed, Piece, Rejected
from batch.events.quarantine import Quarantine
from batch.events.quoted import join_quoted
from batch.events.readers import reading
from batch.events.steam import steam
from batch.files.archives import is_hidden, open_readable
from batch.files.encodings import as_utf8
from batch.files.input_file import InputFile
from batch.files.open import head_lines, is_parquet
from batch.progress import write_note
from batch.settings import BatchSettings
from batch.sql.events import open_table
from batch.sql.source import DatabaseInput, database_inputs
from batch.sql.url import is_database_url
from batch.threads import usable


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
PARQUET: Final = "Parquet"  # name of its kind
_NO_VALUES: Final = "has no ratings, minutes or counts, unlike other members"


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


class FilesRead(NamedTuple):
    """What was read, beside the events.

    Attributes:
        files: Files with events.
        not_read: Reason why each other member of an archive was not read, by its name.
        rejected: Number of rejected lines by reason.
        quarantine: File of the rejected lines, None without any.
    """

    files: tuple[EventFile, ...]
    not_read: dict[str, str]
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
    collector = EventCollector(sizes.fold_rows)
    found = read_pieces(settings, collector.add, began_at, on_lines, sizes)
    return EventInput(
        collector.events(found.files, found.not_read), found.rejected, found.quarantine
    )


def read_pieces(
    settings: BatchSettings,
    add: Callable[[Parsed], object],
    began_at: datetime | None = None,
    on_lines: Callable[[int], object] = lambda _: None,
    sizes: ReadSizes = DEFAULT_READ_SIZES,
) -> FilesRead:
    """Read all files piece by piece, like `read_events`, for a reader that keeps less.

    Args:
        settings: Settings of the batch.
        add: Function that is called with the events of each piece.
        began_at: Time after which the quarantine's file is named; None for now.
        on_lines: Function that is called with the number of lines of each block.
        sizes: How much is read at a time.

    Raises:
        InputError: No file is named, or one is missing, unreadable, empty or of no known kind.
        RejectedError: More of a file was rejected than the settings allow.
    """
    kinds = event_kinds(settings)
    of_run = Quarantine.of_run(settings, began_at or datetime.now(UTC))
    with reading(settings.events), of_run as quarantine:
        reader = EventReader(kinds, quarantine, settings, on_lines, sizes)
        opened, not_read = reader.open_all(event_files(settings))
        with_pieces = ((file, file.pieces) for file in opened)
        with contextlib.closing(read_ahead(with_pieces, usable(settings.n_threads))) as ahead:
            files = tuple(
                source
                for file, pieces in ahead
                for source in (reader.read(file, pieces, add), *file.segments)
            )
    rejected = quarantine.counts
    return FilesRead(files, not_read, rejected, quarantine.path if rejected else None)


def event_kinds(settings: BatchSettings) -> tuple[EventKind, ...]:
    """Return all kinds of text files; the stricter ones first."""
    return (
        stream_log(settings.user_pattern, settings.item_pattern),
        json_events(settings),
        netflix(settings),
        steam(settings),
        item_lists(),
        delimited(settings),
    )


class OpenFile(NamedTuple):
    """A file of a known kind, not read yet.

    Attributes:
        file: File, member of an archive, or table or query.
        kind: Name of its kind.
        pieces: Pieces of the file, which are parsed on request.
        notes: Sentences about what the file was read as, as far as its first lines tell.
        columns: Name of the column of each role that is read; empty if there are no columns.
        has_values: Whether its lines have ratings, minutes, counts or the like.
        segments: Other files whose rows the pieces contain.
    """

    file: InputFile | DatabaseInput
    kind: str
    pieces: Iterator[Piece]
    notes: tuple[str, ...] = ()
    columns: Mapping[str, str] = MappingProxyType({})
    has_values: bool = True
    segments: tuple[EventFile, ...] = ()


@dataclass(frozen=True, slots=True)
class EventReader:
    """Reads files of events piece by piece.

    Attributes:
        kinds: Kinds of text files that are recognized.
        quarantine: Quarantine of the rejected lines.
        settings: Settings of the batch: limit of rejected lines, columns of Parquet.
        on_lines: Function that is called with the number of lines of each piece.
        sizes: How much is read at a time.
        on_note: Function that is called with each sentence about what a file was read as; once
            for files that were read alike.
    """

    kinds: Sequence[EventKind]
    quarantine: Quarantine
    settings: BatchSettings
    on_lines: Callable[[int], object]
    sizes: ReadSizes
    on_note: Callable[[str], object] = write_note
    _noted: set[str] = field(default_factory=set, init=False)

    def open_all(
        self, paths: Iterable[Path | DatabaseInput]
    ) -> tuple[list[OpenFile], dict[str, str]]:
        """Recognize the kinds of all files, the members of archives among them.

        A day's file of the partitions and its segments are one. Where some members of an
        archive have ratings, minutes or counts, those without are left out: MovieLens' tags,
        or a list of genres that looks like pairs.

        Returns:
            Files of events, and the reason why each other member is not read, by its name.

        Raises:
            InputError: A file is missing, unreadable, empty or of no known kind, or no
                member of an archive has events.
        """
        opened: list[OpenFile] = []
        not_read: dict[str, str] = {}
        for day in grouped_by_day(paths):
            files, left_out = self._open_day(day)
            not_read |= left_out
            if any(one.has_values for one in files):
                not_read |= {str(one.file): _NO_VALUES for one in files if not one.has_values}
                files = [one for one in files if one.has_values]
            opened += files
        for file in opened:
            self._write_notes(file, file.notes)
        return opened, not_read

    def _open_day(
        self, sources: Sequence[Path | DatabaseInput]
    ) -> tuple[list[OpenFile], dict[str, str]]:
        """Open a day's file and its segments as one, or a source of any other kind."""
        first = sources[0]
        if isinstance(first, DatabaseInput):
            return [OpenFile(first, *open_table(first))], {}
        if len(sources) == 1:
            return open_readable(first, self.open)
        # Their rows are counted with the first file's: folding leaves fewer than they have.
        paths = [path for path in sources if isinstance(path, Path)]
        segments = tuple(EventFile(path, PARQUET, 0, 0) for path in paths[1:])
        day = OpenFile(InputFile(first), PARQUET, read_day(paths), segments=segments)
        return [day], {}

    def open(self, file: InputFile) -> OpenFile:
        """Recognize the kind of a file.

        Raises:
            InputError: It is missing or unreadable.
            UnreadKindError: It is empty or of no known kind.
        """
        if is_parquet(file):
            events = open_events(file, self.settings)
            pieces = events.pieces(self.sizes.parquet_rows)
            return OpenFile(file, PARQUET, pieces, columns=events.columns)
        lines = head_lines(file)
        kind = kind_of(self.kinds, lines)
        if kind is None:
            first = next((line for line in lines if line.strip()), "")
            forms = "; ".join(f"{kind.name}: {kind.example}" for kind in self.kinds)
            raise UnreadKindError(
                file,
                f"is not a file of events: it begins with {first[:60]!r}",
                f"give one of the known kinds: {forms}; {PARQUET}",
            )
        reader = kind.open(file, lines)
        notes, columns, has_values = reader.notes, reader.columns, reader.has_values
        return OpenFile(file, reader.kind, self._parse(file, reader), notes, columns, has_values)

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
        off_scale: list[float] = []
        reasons: Counter[str] = Counter()
        notes = file.notes
        for piece in pieces:
            self._write_notes(file, piece.notes)
            notes += piece.notes
            if piece.parsed.largest_off_scale is not None:
                off_scale.append(piece.parsed.largest_off_scale)
            self.quarantine.add(str(file.file), piece.rejected)
            n_lines += piece.n_lines
            reasons.update(piece.rejected.reasons)
            self._check_share(file, LinesRead(n_lines, piece.max_lines_left), reasons, off_scale)
            add(piece.parsed)
            self.on_lines(piece.n_lines)
        self._check_share(file, LinesRead(n_lines), reasons, off_scale)
        path, member = file.file.path, file.file.member_name
        return EventFile(
            path, file.kind, n_lines, reasons.total(), notes, member, dict(file.columns)
        )

    def _write_notes(self, file: OpenFile, notes: Iterable[str]) -> None:
        for note in notes:
            if (read_as := without_range(note)) not in self._noted:
                self._noted.add(read_as)
                self.on_note(f"{file.file}: {note}")

    def _parse(self, file: InputFile, reader: TextReader) -> Iterator[Piece]:
        n_bytes, min_line_bytes = self.sizes.block_bytes, reader.min_line_bytes
        if reader.blocks:
            blocks = reader.blocks(file, n_bytes)
        else:
            blocks = read_blocks(file, n_bytes, min_line_bytes=min_line_bytes)
        for block in join_quoted(blocks) if reader.is_quoted else blocks:
            body = _behind_header(block, reader.n_header_lines)
            if not reader.keeps_bytes:
                body = body._replace(lines=as_utf8(body.lines))
            parsed = reader.parse(body.lines)
            n_lines = len(body.lines) - parsed.n_headers
            yield Piece(n_lines, parsed, _rejected(body, parsed), body.max_lines_left)

    def _check_share(
        self, file: OpenFile, lines: "LinesRead", reasons: Counter[str], off_scale: Sequence[float]
    ) -> None:
        """Raise once the rest of the file, all of it valid, could not lower the share enough."""
        n_rejected = reasons.total()
        if n_rejected <= self.settings.max_rejected_share * (lines.n_read + lines.max_left):
            return
        most_frequent, n_most_frequent = reasons.most_common(1)[0]
        shown = f"the first {lines.n_read:,}" if lines.max_left else f"{lines.n_read:,}"
        largest = f", the largest is {max(off_scale):g}" if off_scale else ""
        remedy = "if these lines may be dropped, raise [batch] max_rejected_share"
        if off_scale and max(off_scale) > 0:
            remedy = f"set [batch] max_rating to the best rating of the scale; {remedy}"
        elif off_scale:
            remedy = f'if 0 is no rating, set [batch] zero_rating = "unrated"; {remedy}'
        raise RejectedError(
            file.file,
            f"{n_rejected:,} of {shown} lines are broken, read as {file.kind}, "
            f"most often: {most_frequent} ({n_most_frequent:,}){largest}",
            f"look into {self.quarantine.path}; {remedy}",
        )


class LinesRead(NamedTuple):
    """How much of a file was read.

    Attributes:
        n_read: Number of lines that were read.
        max_left: Maximum number of valid lines behind these.
    """

    n_read: int
    max_left: int = 0


def event_files(settings: BatchSettings) -> list[Path | DatabaseInput]:
    """Return the files, tables and queries of events that the settings name.

    A directory stands for every file below it that is not empty and whose path has no part
    that begins with `.` or `_`.

    Raises:
        InputError: No file is named, a directory holds none, or a link in it leads out of it.
    """
    check_named(settings)
    files: list[Path | DatabaseInput] = []
    for name in settings.events:
        if is_database_url(name):
            files += database_inputs(name, settings)
            continue
        found = files_below(Path(name))
        if not found:
            raise InputError(name, "is a directory without events", "put event files into it")
        files += found
    return files


def files_below(path: Path) -> list[Path]:
    """Return the files below a directory that are not empty, hidden or a mark; or a file itself.

    Raises:
        InputError: A link in it leads out of it.
    """
    if not path.is_dir():
        return [path]
    return [file for file in sorted(path.rglob("*")) if _has_events(file, path)]


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
    if is_hidden(path.relative_to(folder).as_posix()):
        return False
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        problem = f"is a link that leads out of {folder}"
        raise InputError(path, problem, "name its target in [batch] events, or copy it there")
    return path.is_file() and path.stat().st_size > 0


def _behind_header(block: Block, n_header_lines: int) -> Block:
    """Return the lines of a block that stand behind the header."""
    n_lines = max(n_header_lines + 1 - block.first_number, 0)
    if not n_lines:
        return block
    if block.begins is not None:
        n_records = int(np.searchsorted(block.begins, n_lines))
        begins = block.begins[n_records:]
        return block._replace(lines=block.lines[n_records:], begins=begins)
    lines, number = block.lines[n_lines:], block.first_number + n_lines
    return block._replace(lines=lines, first_number=number)


def _rejected(block: Block, parsed: Parsed) -> Rejected:
    lines = block.lines.take(pa.array(parsed.rejected))
    return Rejected(parsed.reasons, block.numbers(parsed.rejected), [lines])
