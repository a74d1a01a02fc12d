"""What a refresh has read of each input that the configuration names: rows, files, columns.

events = ["var/events"]   ─►   events  var/events  12 files  1,203,114 rows
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batch.events.events import EventFile
from batch.inputs import RefreshInputs
from batch.records.read import RecordFile
from batch.settings import BatchSettings
from batch.sql.url import is_database_url, parse_url

# Names of what is read of each line of a form that has no columns, such as the stream log.
_OF_EVENTS: Final = {name: name for name in ("user", "item", "minutes", "rating", "time")}


@dataclass(frozen=True, slots=True)
class NamedInput:
    """An input of a refresh: a file, a directory, an archive, or a table of a database.

    Attributes:
        use: `events`, `catalogue`, `profiles`, `item_vectors` or `user_vectors`.
        name: Path or URL, as the configuration names it.
        n_files: Number of files, members or tables that were read.
        n_rows: Number of lines, rows or entries in them, rejected ones included.
        n_rejected: Number of rejected ones.
        n_bytes: Size of the files, None of a database; those removed since do not count.
        columns: Column of each role that is read.
    """

    use: str
    name: str
    n_files: int
    n_rows: int
    n_rejected: int
    n_bytes: int | None
    columns: Mapping[str, str]


def named_by(settings: BatchSettings) -> dict[str, Sequence[str]]:
    """Return the paths and URLs of the inputs that the settings name, by their use."""
    vectors = {"item_vectors": settings.item_vectors, "user_vectors": settings.user_vectors}
    named: dict[str, Sequence[str]] = {
        "events": settings.events,
        "catalogue": settings.catalogue,
        "profiles": settings.profiles,
        **{use: [name] for use, name in vectors.items() if name},
    }
    return {use: names for use, names in named.items() if names}


def count_inputs(inputs: RefreshInputs, settings: BatchSettings) -> list[NamedInput]:
    """Return what was read of each input that the settings name, in their order."""
    outside = {"item_vectors": inputs.item_vectors, "user_vectors": inputs.user_vectors}
    sources: dict[str, Sequence[EventFile | RecordFile]] = {
        "events": inputs.events.sources,
        "catalogue": inputs.catalogue.sources,
        "profiles": inputs.profiles.sources,
        **{use: [found.source] for use, found in outside.items() if found},
    }
    return [
        _counted(use, name, [one for one in sources.get(use, ()) if _is_of(one.path, name)])
        for use, names in named_by(settings).items()
        for name in dict.fromkeys(names)
    ]


def _counted(use: str, name: str, sources: Sequence[EventFile | RecordFile]) -> NamedInput:
    columns: dict[str, str] = {}
    for source in sources:
        columns |= source.columns if isinstance(source, EventFile) else source.fields
    return NamedInput(
        use,
        name,
        n_files=len(sources),
        n_rows=sum(map(_n_rows, sources)),
        n_rejected=sum(source.n_rejected for source in sources),
        n_bytes=_n_bytes(source.path for source in sources),
        columns=columns or (_OF_EVENTS if use == "events" else {}),
    )


def _n_rows(source: EventFile | RecordFile) -> int:
    if isinstance(source, EventFile):
        return source.n_lines
    return source.n_ids + source.n_rejected


def _n_bytes(paths: Iterable[Any]) -> int | None:
    files = {path for path in paths if isinstance(path, Path)}
    n_bytes = 0
    for path in files:
        with contextlib.suppress(OSError):  # a collector may have folded it into another
            n_bytes += path.stat().st_size
    return n_bytes if files else None


def _is_of(path: object, name: str) -> bool:
    """Return whether a file or table is a named one, or one of a named directory or database."""
    if isinstance(path, Path):
        return not is_database_url(name) and Path(name) in (path, *path.parents)
    whole = str(parse_url(name)) if is_database_url(name) else ""
    return str(path) == whole or str(path).startswith(f"{whole}?")
