"""Events from any of the files that we read, told apart by what stands in them.

stream log   ratings.csv   u.data   ratings.dat   pairs (TSV)   Parquet
     └────────────┴───────────┴─────────┴─────────────┴────────────┘
                              │ parse, validate, quarantine
                              ▼
                 views and ratings, folded, one Events
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from batch.errors import InputError, RejectedError
from batch.events.ahead import read_ahead
from batch.events.delimited import DelimitedParser
from batch.events.fold import fold_views
from batch.events.lines import Block, read_blocks
from batch.events.parquet import read_parquet
from batch.events.parsed import RATINGS, VIEWS, Parsed, Piece
from batch.events.quarantine import Quarantine
from batch.events.stream import StreamParser
from batch.files import head_lines, is_parquet
from batch.threads import usable

# Views are folded when so many rows have come together, and at least this multiple of what is
# folded already: soon where folding pays, for the memory; late where it does not, for the time.
_FOLD_ROWS: Final = 2_000_000
_SOON: Final = 0.5
_LATE: Final = 4.0
_PAYS: Final = 0.8  # of the rows are left, or fewer


@dataclass(frozen=True, slots=True)
class Source:
    """What was read from one file.

    Attributes:
        path: The file.
        kind: As what it was read.
        n_lines: Lines, or rows; a header is none.
        n_rejected: Of these, the rejected ones.
    """

    path: Path
    kind: str
    n_lines: int
    n_rejected: int


@dataclass(frozen=True, slots=True)
class Events:
    """Everything that was read.

    Attributes:
        views: `parsed.VIEWS`; where folding pays one row a (user, item), else here and there
            more.
        ratings: `parsed.RATINGS`, one row a rating.
        n_accounts: New accounts.
        n_answers: Answered or failed recommendation requests.
        sources: What came from where.
    """

    views: pa.Table
    ratings: pa.Table
    n_accounts: int
    n_answers: int
    sources: tuple[Source, ...]


class Kind(NamedTuple):
    """A kind of text file.

    Attributes:
        name: For people.
        looks_like: What a line of it holds, read loosely: noise is told later.
        header: What its first line holds if that is a header.
        parse: Block of lines to events.
    """

    name: str
    looks_like: re.Pattern[str]
    header: re.Pattern[str] | None
    parse: Callable[[pa.BinaryArray], Parsed]

    def has_header(self, lines: Sequence[str]) -> bool:
        """Tell whether the first of a file's lines is this kind's header."""
        return bool(self.header and lines and self.header.search(lines[0]))

    def n_hits(self, lines: Sequence[str]) -> int:
        """Count the lines that look like this kind's."""
        return self.has_header(lines) + sum(bool(self.looks_like.search(line)) for line in lines)


def stream_log(user_pattern: str, item_pattern: str) -> Kind:
    """The one kind of text that holds all kinds of events."""
    parser = StreamParser(user_pattern, item_pattern)
    return Kind("stream log", re.compile(r",GET /|,recommendation request "), None, parser)


def kinds(user_pattern: str, item_pattern: str) -> tuple[Kind, ...]:
    """The kinds of text that events come in; the first that looks right is taken."""
    return (
        stream_log(user_pattern, item_pattern),
        Kind(
            "MovieLens ratings.dat",
            re.compile(r"^[^:]+::[^:]+::[\d.]+(::\d+)?$"),
            None,
            DelimitedParser("::", has_rating=True),
        ),
        Kind(
            "MovieLens u.data",
            re.compile(r"^[^\t]+\t[^\t]+\t[\d.]+(\t\d+)?$"),
            None,
            DelimitedParser(r"\t", has_rating=True),
        ),
        Kind(
            "MovieLens ratings.csv",
            re.compile(r"^[^,\t]+,[^,\t]+,[\d.]+(,\d+)?$"),
            re.compile(r"^user_?id,(movie|item)_?id,rating", re.IGNORECASE),
            DelimitedParser(",", has_rating=True),
        ),
        Kind(
            "user/item pairs",
            re.compile(r"^[^\t,]+\t[^\t,]+$"),
            re.compile(r"^user_?id\t(movie|item)_?id$", re.IGNORECASE),
            DelimitedParser(r"\t", has_rating=False),
        ),
    )


def read_events(
    paths: Sequence[Path],
    known: Sequence[Kind],
    quarantine: Quarantine,
    max_rejected_share: float,
    on_lines: Callable[[int], object] = lambda _: None,
    *,
    n_threads: int = 0,
) -> Events:
    """Read all files; what is broken goes to the quarantine.

    Args:
        paths: Files, or directories of which every file is read that is not empty
            and whose name does not begin with `.` or `_`.
        known: The kinds of text, from `kinds`.
        quarantine: Takes every rejected line.
        max_rejected_share: Of a file's lines; more is an error.
        on_lines: Called with the number of lines of each block, for progress.
        n_threads: 0 means one for each processor that this process may use.

    Raises:
        InputError: A file is missing, unreadable, empty or of no known kind.
        RejectedError: More of a file was rejected than is allowed.
    """
    gathered = _Gathered()
    files = [(path, *_open(path, known)) for path in event_files(paths)]
    named = (((path, kind), pieces) for path, kind, pieces in files)
    sources = tuple(
        _take(path, kind, pieces, quarantine, max_rejected_share, gathered.take, on_lines)
        for (path, kind), pieces in read_ahead(named, usable(n_threads))
    )
    return gathered.events(sources)


def read_file(
    path: Path,
    known: Sequence[Kind],
    quarantine: Quarantine,
    max_rejected_share: float,
    take: Callable[[Parsed], object],
    on_lines: Callable[[int], object] = lambda _: None,
) -> Source:
    """Read one file piece by piece.

    Args:
        path: The file.
        known: The kinds of text.
        quarantine: Takes every rejected line.
        max_rejected_share: Of the file's lines; more is an error, known at its end.
        take: Called with the events of each piece.
        on_lines: Called with the number of its lines.

    Raises:
        InputError: It is missing, unreadable, empty or of no known kind.
        RejectedError: More of it was rejected than is allowed.
    """
    kind, pieces = _open(path, known)
    return _take(path, kind, pieces, quarantine, max_rejected_share, take, on_lines)


def event_files(paths: Sequence[Path]) -> list[Path]:
    """Return files as they are, and of directories every file that holds events.

    Raises:
        InputError: A directory holds none.
    """
    files: list[Path] = []
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else []
        found = [file for file in below if _has_events(file, path)] if path.is_dir() else [path]
        if not found:
            raise InputError(path, "is a directory without events", "put event files into it")
        files += found
    return files


def _has_events(path: Path, folder: Path) -> bool:
    """Tell a directory's events from what else lies there: quiet days, `_SUCCESS`, `.tmp`."""
    is_hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    return not is_hidden and path.is_file() and path.stat().st_size > 0


def _take(
    path: Path,
    kind: str,
    pieces: Iterator[Piece],
    quarantine: Quarantine,
    max_rejected_share: float,
    take: Callable[[Parsed], object],
    on_lines: Callable[[int], object],
) -> Source:
    n_lines = 0
    reasons: Counter[str] = Counter()
    for n_lines_of_piece, parsed, rejected in pieces:
        quarantine.add(str(path), rejected)
        n_lines += n_lines_of_piece
        reasons.update(reason for reason, _, _ in rejected)
        take(parsed)
        on_lines(n_lines_of_piece)
    source = Source(path, kind, n_lines, reasons.total())
    _check_share(source, reasons, quarantine.path, max_rejected_share)
    return source


class _Gathered:
    """Views and ratings of all files; the views folded now and then."""

    def __init__(self) -> None:
        self._folded = VIEWS.empty_table()
        self._views: list[pa.Table] = []
        self._ratings = [RATINGS.empty_table()]
        self._n_accounts = self._n_answers = self._n_unfolded = 0
        self._patience = _SOON

    def take(self, parsed: Parsed) -> None:
        self._n_accounts += parsed.n_accounts
        self._n_answers += parsed.n_answers
        self._ratings.append(parsed.ratings)
        self._views.append(parsed.views)
        self._n_unfolded += parsed.views.num_rows
        if self._n_unfolded > max(_FOLD_ROWS, self._patience * self._folded.num_rows):
            self._fold()

    def events(self, sources: tuple[Source, ...]) -> Events:
        if self._patience == _SOON:
            self._fold()
        return Events(
            pa.concat_tables(self._all_views()),
            pa.concat_tables(self._ratings).unify_dictionaries(),
            self._n_accounts,
            self._n_answers,
            sources,
        )

    def _fold(self) -> None:
        n_rows = self._folded.num_rows + self._n_unfolded
        self._folded = fold_views(pa.concat_tables(self._all_views()))  # which alone holds them
        self._patience = _SOON if self._folded.num_rows <= _PAYS * n_rows else _LATE
        self._n_unfolded = 0

    def _all_views(self) -> list[pa.Table]:
        """Give away all views."""
        views, self._views = [self._folded, *self._views], []
        self._folded = VIEWS.empty_table()
        return views


def _open(path: Path, known: Sequence[Kind]) -> tuple[str, Iterator[Piece]]:
    if is_parquet(path):
        return "Parquet", read_parquet(path)
    lines = head_lines(path)
    kind = max(known, key=lambda kind: kind.n_hits(lines))
    if not kind.n_hits(lines):
        names = ", ".join([*(k.name for k in known), "Parquet"])
        first = next((line for line in lines if line.strip()), "")
        raise InputError(
            path, f"is no file of events: it begins {first[:60]!r}", f"known kinds: {names}"
        )
    return kind.name, _parse(path, kind, kind.has_header(lines))


def _parse(path: Path, kind: Kind, has_header: bool) -> Iterator[Piece]:
    for block in read_blocks(path):
        is_first = block.first_number == 1
        body = Block(block.lines[1:], 2) if has_header and is_first else block
        parsed = kind.parse(body.lines)
        yield Piece(len(body.lines), parsed, _rejected(body, parsed))


def _rejected(block: Block, parsed: Parsed) -> list[tuple[str, int, bytes]]:
    return [
        (reason, block.first_number + place, block.lines[place].as_py())
        for place, reason in zip(parsed.rejected.tolist(), parsed.reasons, strict=True)
    ]


def _check_share(source: Source, reasons: Counter[str], quarantine: Path, max_share: float) -> None:
    if source.n_rejected > max_share * source.n_lines:
        worst, n_worst = reasons.most_common(1)[0]
        raise RejectedError(
            source.path,
            f"{source.n_rejected:,} of {source.n_lines:,} lines are broken as a {source.kind}, "
            f"most often: {worst} ({n_worst:,})",
            f"look into {quarantine}; if that is as it should be, raise [batch] max_rejected_share",
        )
