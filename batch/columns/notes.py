"""Notes about what files were read as, each once for all files that were read alike.

events/date=2026-01-01.parquet: "minutes" read as minutes, 1 to 230   ┐  one note,
events/date=2026-01-02.parquet: "minutes" read as minutes, 1 to 217   ┘  "and 1 more file"
"""

import re
from collections.abc import Iterable
from typing import Final

_RANGE: Final = re.compile(r", \S+ to \S+$")


def without_range(note: str) -> str:
    """Return a note without the range of values at its end, which differs from file to file."""
    return _RANGE.sub("", note)


def of_all_files(named: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the notes of several files, those of files that were read alike as one.

    Args:
        named: Names of files with a note each; the order stays.

    Returns:
        Notes that begin with the name of the first file, and the number of further ones. A
        range of values is that of the first file, and is said to be.
    """
    files: dict[str, list[tuple[str, str]]] = {}
    for name, note in named:
        files.setdefault(without_range(note), []).append((name, note))
    return tuple(_as_one(alike) for alike in files.values())


def _as_one(alike: list[tuple[str, str]]) -> str:
    name, note = alike[0]
    n_more = len(alike) - 1
    if not n_more:
        return f"{name}: {note}"
    in_first = " in the first" if note != without_range(note) else ""
    return f"{name} and {n_more:,} more file{'s' * (n_more > 1)}: {note}{in_first}"
