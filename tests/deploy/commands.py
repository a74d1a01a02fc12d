"""Commands in files and manuals, checked by the parsers of our own packages."""

import importlib
import re
import shlex

import pytest

_IN_TEXT = re.compile(r"`(?:python -m|marquee) ((?:batch|serve|store|stream|cron)\b[^`]*)`")


def commands_in(text):
    """Return every command in backticks, without `python -m`."""
    return sorted(set(_IN_TEXT.findall(text)))


def check_command(command):
    """Fail if a package does not accept a command.

    Args:
        command: Words after `python -m`, as one text or a list.
    """
    package, *arguments = shlex.split(command) if isinstance(command, str) else command
    parser = importlib.import_module(f"{package}.__main__")._parser()
    try:
        parser.parse_args(arguments)
    except SystemExit as ended:
        pytest.fail(f"python -m {command} is refused with exit status {ended.code}")
