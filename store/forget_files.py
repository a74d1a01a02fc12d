"""Forgetting outside the snapshots: recent views, logs, posted events, reasons that name a user.

A line of an access log or of posted events is overwritten where it stands, by an empty object of
the same length: the server goes on appending to the file meanwhile.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from store.errors import WriteError
from store.fresh import forget_fresh
from store.journal import journal
from store.recent import recent_file, remove_users
from store.spool import spool_files, spool_folder
from store.takedown import takedowns

_BEFORE: Final = r'(?:(?<!HTTP)/|[=,]|")'
_AFTER: Final = r'(?=[ ?&/,"])'


def forget_recent(store: Path, user_ids: Collection[str]) -> dict[str, int]:
    """Remove users from recent views and fresh lists, and return the records removed by user.

    Raises:
        WriteError, CorruptRecentError, CorruptFreshError: A file cannot be written to.
    """
    n_records = dict.fromkeys(user_ids, 0)
    recent = recent_file(store)
    found = remove_users(recent, user_ids) if recent.exists() else []
    for user_id in [*found, *forget_fresh(store, user_ids)]:
        n_records[user_id] += 1
    return n_records


def forget_log(path: Path, user_ids: Collection[str]) -> Counter[str]:
    """Overwrite each line of an access log that names a user, and return the lines by user.

    Raises:
        WriteError: The file cannot be read or written to.
    """
    patterns = {name: re.compile(_BEFORE + re.escape(name) + _AFTER) for name in user_ids}

    def named(line: bytes) -> list[str]:
        text = unquote(line.decode("utf-8", "replace"))
        return [name for name, pattern in patterns.items() if pattern.search(text)]

    return _overwrite(path, named)


def forget_posted(store: Path, user_ids: Collection[str]) -> Counter[str]:
    """Overwrite each event of a user in the spool, and return the lines by user.

    What was not collected yet is rejected by the collector, as a line without an event.

    Raises:
        WriteError: A file cannot be read or written to.
    """
    names = {name.encode(): name for name in user_ids}

    def named(line: bytes) -> list[str]:
        return [names[field] for field in line.split(b",", 2)[1:2] if field in names]

    files = spool_files(spool_folder(store))
    return sum((_overwrite(file.path, named) for file in files), Counter[str]())


def access_logs(path: Path) -> list[Path]:
    """Return an access log and its rotated predecessors, as far as they exist."""
    rotated = (file for file in path.parent.glob(f"{path.name}.*") if file.suffix[1:].isdecimal())
    return [file for file in (path, *sorted(rotated)) if file.is_file()]


def reasons_that_name(store: Path, user_ids: Collection[str]) -> list[str]:
    """Return the lines of `JOURNAL` and `TAKEDOWN` whose reason may name a user."""
    is_named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, user_ids))})(?!\w)")
    lines = [("JOURNAL", line.at, line.why) for line in journal(store)]
    lines += [("TAKEDOWN", entry.at, entry.why) for entry in takedowns(store).values()]
    return [
        f"{store / name}: the reason of {at}" for name, at, why in lines if is_named.search(why)
    ]


def _overwrite(path: Path, named: Callable[[bytes], list[str]]) -> Counter[str]:
    """Overwrite each line that names users by an empty object; return the lines by user."""
    n_lines = Counter[str]()
    try:
        with path.open("r+b") as file:
            for begin, line in _lines(path):
                if names := named(line):
                    file.seek(begin)
                    file.write(b"{}".ljust(len(line)))
                    n_lines.update(names)
    except OSError as error:
        raise WriteError(path, f"cannot be changed: {error.strerror}") from error
    return n_lines


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the text of each whole line, without its end."""
    begin = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield begin, line[:-1]
            begin += len(line)
