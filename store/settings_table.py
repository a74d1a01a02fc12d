"""Tables of settings, generated from the dataclasses that load them.

    class StoreSettings:                   python -m store config --markdown
        '''                                    | key | default | meaning |
        Attributes:                   ───►     python -m store config --toml
            keep: Number of …                      # Number of …
        '''                                        keep = 5
        keep: int = 5

A field's meaning is its entry under `Attributes:` in the docstring, so help,
documents and code cannot differ. A README holds each table between two
markers; `config --update README.md` writes the tables anew.
"""

import argparse
import dataclasses
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from store.errors import ConfigError

Sections = Mapping[str, type]  # settings dataclass by section of marquee.toml

END_MARKER: Final = "<!-- end of settings -->"
_COMMENT_WIDTH: Final = 88
_ENTRY: Final = re.compile(r"    (\w+): (.*)")
_CONTINUATION: Final = " " * 8
_NAME: Final = "NAME"  # in a section: there may be many such tables, and none is there by default
_PIPE: Final = r"\|"  # in a cell of a Markdown table
_TOML_HEADER: Final = """\
# The settings of [{names}] with their defaults.
# Delete each key that you do not change: a later version may have a better default."""


def add_config(verbs: Any, sections: Sections) -> None:
    """Declare the verb `config`, which prints the settings of a package.

    Args:
        verbs: Subparsers of the package's command.
        sections: Settings dataclass by section.
    """
    names = ", ".join(f"[{name}]" for name in sections)
    about = f"Print the settings of {names} with their defaults and meanings."
    verb = verbs.add_parser("config", help=about, description=about)
    form = verb.add_mutually_exclusive_group(required=True)
    form.add_argument("--markdown", action="store_true", help="as tables for a document")
    form.add_argument("--toml", action="store_true", help="as a commented marquee.toml")
    form.add_argument(
        "--update", type=Path, metavar="README", help="rewrite the tables in that Markdown file"
    )
    verb.set_defaults(sections=sections)


def print_config(options: argparse.Namespace) -> int:
    """Run the verb `config` and return its exit status.

    Args:
        options: Parsed command line.

    Raises:
        ConfigError: The file to update cannot be read or written, or lacks a marker.
    """
    if options.update:
        update_tables(options.update, options.sections)
    elif options.markdown:
        tables = (markdown_table(section, kind) for section, kind in options.sections.items())
        sys.stdout.write("\n".join(tables))
    else:
        sys.stdout.write(toml_document(options.sections))
    return 0


def meanings(kind: type) -> dict[str, str]:
    """Return the meaning of each field of a settings dataclass.

    Args:
        kind: Dataclass whose docstring has an entry for each field under `Attributes:`.

    Raises:
        ValueError: The entries are not those of the fields, in their order.
    """
    _, _, text = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if entry := _ENTRY.fullmatch(line):
            found[entry[1]] = entry[2]
        elif line.startswith(_CONTINUATION) and found:
            found[[*found][-1]] += f" {line.strip()}"
        else:
            break
    names = [field.name for field in dataclasses.fields(kind)]
    if [*found] != names:
        raise ValueError(f"{kind.__name__}: the docstring describes {[*found]}, not {names}")
    return found


def markdown_table(section: str, kind: type) -> str:
    """Return the table of a section: key, default, meaning."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    described = meanings(kind)
    for field in dataclasses.fields(kind):
        cells = (f"`{section}.{field.name}`", f"`{_toml(_default(field))}`", described[field.name])
        lines.append(f"| {' | '.join(cell.replace('|', _PIPE) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def toml_document(sections: Sections) -> str:
    """Return a `marquee.toml` of these sections: each key with its default, below its meaning."""
    parts = [_TOML_HEADER.format(names="], [".join(sections))]
    for section, kind in sections.items():
        described = meanings(kind)
        mark = "# " if _NAME in section else ""
        parts.append(f"\n{mark}[{section}]")
        for field in dataclasses.fields(kind):
            parts += textwrap.wrap(
                described[field.name],
                _COMMENT_WIDTH,
                initial_indent="# ",
                subsequent_indent="# ",
                break_on_hyphens=False,
            )
            default = _default(field)
            is_table = isinstance(default, dict)  # one in a line could not have tables below
            line = f"# [{section}.{field.name}]" if is_table else f"{field.name} = {_toml(default)}"
            parts.append(line if is_table else mark + line)
    return "\n".join(parts) + "\n"


def start_marker(section: str) -> str:
    """Return the line of a Markdown file that precedes the table of a section."""
    return f"<!-- settings: {section} -->"


def update_tables(file: Path, sections: Sections) -> None:
    """Rewrite the tables of these sections between their markers in a Markdown file.

    Raises:
        ConfigError: The file cannot be read or written, or lacks a marker.
    """
    try:
        text = file.read_text(encoding="utf-8")
        for section, kind in sections.items():
            before, start, rest = text.partition(f"{start_marker(section)}\n")
            _, end, after = rest.partition(END_MARKER)
            if not start or not end:
                remedy = f"add the lines {start_marker(section)} and {END_MARKER}"
                raise ConfigError(file, f"has no markers for [{section}]", remedy)
            text = f"{before}{start}{markdown_table(section, kind)}{end}{after}"
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            file, f"cannot be updated: {error.strerror}", "name a README of this repository"
        ) from error


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _toml(value: Any) -> str:
    """Return a default as a TOML value."""
    if isinstance(value, str) and "\\" in value and "'" not in value:
        return f"'{value}'"  # a literal string: patterns stay readable
    return json.dumps(value, ensure_ascii=False)  # str, bool, int, float, tuple: all TOML
