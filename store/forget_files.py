"""Forgetting outside the snapshots: recent views, access logs, and reasons that name a user.

A line of an access log is overwritten where it stands, by an empty object of the same length:
the server goes on appending to the file meanwhile.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from store.errors import WriteError
from store.fresh import forget_fresh
from store.journal import journal
from store.recent import recent_file, remove_users
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


def forget_log(path: Path, user_ids: Collection[str]) -> dict[str, int]:
    """Overwrite each line of an access log that names a user, and return the lines by user.

    Raises:
        WriteError: The file cannot be read or written to.
    """
    patterns = {name: re.compile(_BEFORE + re.escape(name) + _AFTER) for name in user_ids}
    n_lines = dict.fromkeys(user_ids, 0)
    try:
        with path.open("r+b") as file:
            for begin, line in _lines(path):
                text = unquote(line.decode("utf-8", "replace"))
                named = [name for name, pattern in patterns.items() if pattern.search(text)]
                if named:
                    file.seek(begin)
                    file.write(b"{}".ljust(len(line)))
                for name in named:
                    n_lines[name] += 1
    except OSError as error:
        raise WriteError(path, f"cannot be changed: {error.strerror}") from error
    return n_lines


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


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the text of each whole line, without its end."""
    begin = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield begin, line[:-1]
            begin += len(line)
