"""Events from any of the files that we read, told apart by what stands in them.

stream log   ratings.csv   u.data   ratings.dat   pairs (TSV)   Parquet
     └────────────┴───────────┴─────────┴─────────────┴────────────┘
                              │ parse, validate, quarantine
                              ▼
                 views and ratings, folded, one Events
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from batch.errors import InputError, RejectedError
from batch.events.ahead import read_ahead
from batch.events.events import Events, Source, Taken
from batch.events.kinds import Kind
from batch.events.lines import Block, read_blocks
from batch.events.parquet import read_parquet
from batch.events.parsed import Parsed, Piece
from batch.events.quarantine import Quarantine
from batch.files import head_lines, is_parquet
from batch.threads import usable


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
    taken = Taken()
    files = [(path, *_open(path, known)) for path in event_files(paths)]
    named = (((path, kind), pieces) for path, kind, pieces in files)
    sources = tuple(
        _take(path, kind, pieces, quarantine, max_rejected_share, taken.take, on_lines)
        for (path, kind), pieces in read_ahead(named, usable(n_threads))
    )
    return taken.events(sources)


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
