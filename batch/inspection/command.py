"""The command `python -m batch inspect`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from batch.errors import UnreadKindError
from batch.files.input_file import InputFile
from batch.inspection.look import look
from batch.inspection.report import as_text, known_forms
from batch.inspection.view import FileView
from batch.settings import BatchSettings

_EXAMPLE = """example:
  python -m batch inspect ratings.csv movies.csv
  python -m batch inspect --columns user=reader,item=book readings.csv

What is shown is what a refresh reads. Nothing is written.
Exit status: 0 each path has a file that can be read, 1 one has none, 2 wrong usage."""


def add_inspect(verbs: Any, options: argparse.ArgumentParser) -> None:
    """Add the verb `inspect` to the parser of `python -m batch`.

    Args:
        verbs: Subparsers of the parser.
        options: Options that this verb shares with others.
    """
    about = "Show what files are taken for, and how they are read."
    verb = verbs.add_parser(
        "inspect",
        parents=[options],
        help=about.lower().rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("file", nargs="+", type=Path, help="a file, an archive or a directory")
    verb.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace, settings: BatchSettings) -> str:
    views = look(arguments.file, settings)
    unread = [path for path in arguments.file if not _is_read(path, views)]
    if arguments.json:
        text = json.dumps([dataclasses.asdict(view) for view in views])
    else:
        text = as_text(views, known_forms(settings) if unread else ())
    if unread:
        sys.stdout.write(text + "\n")
        problem = "cannot be read as events, as a catalogue or as profiles"
        raise UnreadKindError(unread[0], problem, "compare it with the known forms")
    return text


def _is_read(path: Path, views: list[FileView]) -> bool:
    """Return whether any file in a path is read."""
    return any(view.readings for view in views if Path(view.file).is_relative_to(path))


def show_unread(error: UnreadKindError, settings: BatchSettings) -> str:
    """Return the view of the file that an error is about, and one line of each known form."""
    subject = error.subject
    path = subject.path if isinstance(subject, InputFile) else Path(str(subject))
    views = look([path], settings)
    return as_text(views, known_forms(settings))
