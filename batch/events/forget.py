"""Forgetting: remove users from the day partitions and from the quarantine.

events/views/date=2026-11-14/views-2026-11-14.parquet   rewritten without their rows
quarantine/2026-11-21T093000Z.tsv                       rewritten without lines that name them
stream.log, profiles.jsonl, user-vectors.parquet        reported: they are not ours to change
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags
from batch.errors import BatchError
from batch.events.lines import read_blocks
from batch.events.parquet import read_parquet
from batch.events.partitions import open_partitions, partition_files
from batch.events.quarantine import quarantine_files
from batch.events.read import event_files
from batch.files import is_parquet
from batch.records.vectors import vector_ids
from batch.settings import BatchSettings
from store.durable import fsync_path
from store.ids import USER_ID_RULE, is_user_id

_PENDING: Final = ".pending"
_QUARANTINE_FIELDS: Final = r"^[^\t]*\t[^\t]*\t\d+\t"  # reason, source and line number
_BEFORE: Final = r"(?:[,\t =\"&?]|::|\":)"  # no part of a time or a path
_AFTER: Final = r"(?:[,\t \"&}\r\n]|::|$)"


@dataclass(frozen=True, slots=True)
class ForgottenEvents:
    """What the batch's files no longer hold, and what they still do.

    Attributes:
        rows: Number of rows removed from the partitions, by type of event.
        n_lines: Number of lines removed from the quarantine.
        unknown: Users of whom nothing was found.
        left: Files that still name a user, for they are not rewritten.
    """

    rows: dict[str, int]
    n_lines: int
    unknown: list[str]
    left: list[Path]


def forget_events(
    user_ids: Collection[str], events: Path, quarantine: Path, inputs: Collection[Path]
) -> ForgottenEvents:
    """Remove users from partitions and quarantine, and find the inputs that name them.

    Args:
        user_ids: Users to forget.
        events: Directory of the partitions; it need not exist.
        quarantine: Directory of the quarantine; it need not exist.
        inputs: Files or directories that a refresh reads.

    Raises:
        BatchError: A user id is not valid, or a file cannot be read or written.
    """
    for user_id in user_ids:
        if not is_user_id(user_id):
            raise BatchError(repr(user_id), "is not a valid user id", USER_ID_RULE)
    found: set[str] = set()
    rows: dict[str, int] = {}
    if events.is_dir():
        with open_partitions(events) as partitions:
            rows = partitions.forget(user_ids, found.add)
    n_lines = sum(_without(file, user_ids, found) for file in quarantine_files(quarantine))
    partitioned = set(partition_files(events))
    others = [file for path in (*inputs, events) for file in _files(path)]
    left = [
        file
        for file in dict.fromkeys(others)
        if file not in partitioned and _names(file, user_ids, found)
    ]
    return ForgottenEvents(rows, n_lines, [u for u in user_ids if u not in found], left)


def _files(path: Path) -> list[Path]:
    """Return a file, or the files of events below a directory; none if it does not exist."""
    if not path.is_dir():
        return [path] if path.exists() else []
    visible = (file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
    has_any = any(visible)
    return event_files(BatchSettings(events=(str(path),))) if has_any else []


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def _without(file: Path, user_ids: Collection[str], found: set[str]) -> int:
    """Rewrite a file of lines without those that name a user; return their number."""
    n_removed = 0
    pending = file.with_name(file.name + _PENDING)
    try:
        with pending.open("wb") as out:
            for block in read_blocks(file):
                is_named = _are_named(block.lines, user_ids, found, _QUARANTINE_FIELDS)
                n_removed += int(is_named.sum())
                kept = block.lines.filter(pa.array(~is_named))
                out.writelines(kept.to_pylist())
        if n_removed:
            fsync_path(pending)
            pending.replace(file)
            fsync_path(file.parent)
    except OSError as error:
        problem = f"cannot be rewritten: {error.strerror}"
        raise BatchError(file, problem, "make room there, and run it again") from error
    finally:
        pending.unlink(missing_ok=True)
    return n_removed


def _names(file: Path, user_ids: Collection[str], found: set[str]) -> bool:
    """Return whether a file names a user: as a field of a line, or in the column of users."""
    is_named = False
    if not is_parquet(file):
        for block in read_blocks(file):
            is_named |= bool(_are_named(block.lines, user_ids, found).any())
        return is_named
    for ids in _user_ids(file):
        of_file = set(ids.to_pylist()).intersection(user_ids)
        found |= of_file
        is_named |= bool(of_file)
    return is_named


def _user_ids(file: Path) -> Iterator[pa.Array]:
    """Yield the distinct users of each piece of a Parquet file of events or of vectors."""
    if blocks := vector_ids(file):
        yield from blocks
        return
    for piece in read_parquet(file):
        for name in ("views", "ratings", "accounts", "answers"):
            yield getattr(piece.parsed, name)["user_id"].unique()


def _are_named(
    lines: pa.BinaryArray, user_ids: Collection[str], found: set[str], begin: str = "^"
) -> Flags:
    """Return which lines name a user as a field behind their `begin`."""
    is_named = np.zeros(len(lines), dtype=bool)
    for user_id in user_ids:
        pattern = f"(?s){begin}(?:|.*{_BEFORE}){re.escape(user_id)}{_AFTER}"
        of_user = pc.match_substring_regex(lines, pattern=pattern).to_numpy(zero_copy_only=False)
        if of_user.any():
            found.add(user_id)
        is_named |= of_user
    return is_named
