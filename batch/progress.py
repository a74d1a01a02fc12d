"""Progress callbacks, which every long computation takes and may be left out."""

import sys

from tqdm import tqdm


def noop(*_: object) -> None:
    """Ignore the progress that is reported."""


def write_note(note: str) -> None:
    """Write a line to standard error, above a progress bar if there is one."""
    tqdm.write(note, file=sys.stderr)
