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
from batch.events.delimited import DelimitedParser
from batch.events.lines import Block, read_blocks
from batch.events.parquet import read_parquet
from batch.events.parsed import RATINGS, VIEWS, Parsed, fold_views
from batch.events.quarantine import Quarantine
from batch.events.stream import StreamParser
from batch.files import head_lines, is_parquet

_FOLD_ROWS: Final = 2_000_000  # views are folded whenever so many have come together


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
        views: One row a (user, item): user_id, item_id, minute, n_events.
        ratings: One row a rating: user_id, item_id, rating, at.
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


def kinds(user_pattern: str, item_pattern: str) -> tuple[Kind, ...]:
    """The kinds of text that events come in; the first that looks right is taken."""
    return (
        Kind(
            "stream log",
            re.compile(r",GET /|,recommendation request "),
            None,
            StreamParser(user_pattern, item_pattern),
        ),
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
) -> Events:
    """Read all files; what is broken goes to the quarantine.

    Args:
        paths: Files, or directories of which every file is read that is not empty
            and whose name does not begin with `.` or `_`.
        known: The kinds of text, from `kinds`.
        quarantine: Takes every rejected line.
        max_rejected_share: Of a file's lines; more is an error.
        on_lines: Called with the number of lines of each block, for progress.

    Raises:
        InputError: A file is missing, unreadable, empty or of no known kind.
        RejectedError: More of a file was rejected than is allowed.
    """
    views, ratings, sources = [VIEWS.empty_table()], [RATINGS.empty_table()], []
    n_accounts = n_answers = n_unfolded = 0
    for path in _files(paths):
        kind, blocks = _open(path, known)
        n_lines = n_rejected = 0
        reasons: Counter[str] = Counter()
        for block, parsed in blocks:
            quarantine.add(str(path), _rejected(block, parsed))
            n_lines += len(block.lines)
            n_rejected += len(parsed.rejected)
            reasons.update(parsed.reasons)
            n_accounts += parsed.n_accounts
            n_answers += parsed.n_answers
            ratings.append(parsed.ratings)
            views.append(parsed.views)
            n_unfolded += parsed.views.num_rows
            if n_unfolded > _FOLD_ROWS:
                views, n_unfolded = [fold_views(pa.concat_tables(views))], 0
            on_lines(len(block.lines))
        source = Source(path, kind, n_lines, n_rejected)
        _check_share(source, reasons, quarantine.path, max_rejected_share)
        sources.append(source)
    return Events(
        fold_views(pa.concat_tables(views)),
        pa.concat_tables(ratings),
        n_accounts,
        n_answers,
        tuple(sources),
    )


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        found = sorted(filter(_has_events, path.rglob("*"))) if path.is_dir() else [path]
        if not found:
            raise InputError(path, "is a directory without events", "put event files into it")
        files += found
    return files


def _has_events(path: Path) -> bool:
    """Tell a directory's events from what else lies there: quiet days, `_SUCCESS`, `.tmp`."""
    return path.is_file() and not path.name.startswith((".", "_")) and path.stat().st_size > 0


def _open(path: Path, known: Sequence[Kind]) -> tuple[str, Iterator[tuple[Block, Parsed]]]:
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


def _parse(path: Path, kind: Kind, has_header: bool) -> Iterator[tuple[Block, Parsed]]:
    for block in read_blocks(path):
        is_first = block.first_number == 1
        body = Block(block.lines[1:], 2) if has_header and is_first else block
        yield body, kind.parse(body.lines)


def _rejected(block: Block, parsed: Parsed) -> Iterator[tuple[str, int, bytes]]:
    for place, reason in zip(parsed.rejected, parsed.reasons, strict=True):
        yield reason, block.first_number + int(place), block.lines[int(place)].as_py()


def _check_share(source: Source, reasons: Counter[str], quarantine: Path, max_share: float) -> None:
    if source.n_rejected > max_share * source.n_lines:
        worst, n_worst = reasons.most_common(1)[0]
        raise RejectedError(
            source.path,
            f"{source.n_rejected:,} of {source.n_lines:,} lines are broken as a {source.kind}, "
            f"most often: {worst} ({n_worst:,})",
            f"look into {quarantine}; if that is as it should be, raise [batch] max_rejected_share",
        )
