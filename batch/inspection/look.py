"""The look at a path: each of its files as events, as a catalogue and as profiles.

    path ─► events? catalogue? profiles? ─► one view a file ─► read, or why not

What a file is read as is decided by the options of a refresh, so each reading that is possible
is shown.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from batch.errors import InputError, UnreadKindError
from batch.events.read import files_below
from batch.files.archives import input_files
from batch.files.input_file import InputFile
from batch.files.open import form_in_words, head_lines
from batch.inspection.events import look_at_events
from batch.inspection.records import look_at_catalogue, look_at_profiles
from batch.inspection.view import N_ROWS, FileView, Look
from batch.settings import BatchSettings

_LOOKS: Final[Mapping[str, Callable[[Path, BatchSettings], Look]]] = {
    "events": look_at_events,
    "catalogue": look_at_catalogue,
    "profiles": look_at_profiles,
}


def look(paths: Iterable[Path], settings: BatchSettings) -> list[FileView]:
    """Return a view of each file in these paths, in their order.

    Args:
        paths: Files, archives and directories.
        settings: Settings of the batch: patterns of ids, columns, scale of ratings.
    """
    return [view for path in paths for file in files_below(path) for view in _views(file, settings)]


def _views(path: Path, settings: BatchSettings) -> list[FileView]:
    try:
        files = input_files(path)
    except InputError as error:
        return [FileView(str(path), problems={"input": error.problem})]
    looks = {use: _look(path, settings, use) for use in _LOOKS}
    return [_view(file, looks) for file in files]


def _look(path: Path, settings: BatchSettings, use: str) -> Look:
    """Return a look at a path; if it cannot be read at all, why each file is not read."""
    try:
        return _LOOKS[use](path, settings)
    except UnreadKindError as error:
        return Look({}, error.members or {str(path): error.problem})
    except InputError as error:
        return Look({}, {str(error.subject): error.problem, str(path): error.problem})


def _view(file: InputFile, looks: Mapping[str, Look]) -> FileView:
    name = str(file)
    readings = [look.readings[name] for look in looks.values() if name in look.readings]
    problems = {
        use: look.not_read.get(name) or look.not_read.get(str(file.path), "not read")
        for use, look in looks.items()
        if name not in look.readings
    }
    if len(set(problems.values())) == 1 and len(problems) == len(_LOOKS):
        problems = {"input": next(iter(problems.values()))}  # damaged, or of a kind that is refused
    head: tuple[str, ...] = ()
    form = ""
    with contextlib.suppress(InputError):
        form = form_in_words(file)
        head = () if readings or file.member else tuple(head_lines(file)[:N_ROWS])
    return FileView(name, form, readings, problems, head)
