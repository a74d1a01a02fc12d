"""`show`: the manifest of a snapshot."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from store.commands.output import add_generation, add_json, report, requested_generation
from store.layout import snapshot_folder
from store.manifest import read_manifest


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "Print the manifest of a snapshot."
    verb = verbs.add_parser("show", help=about, description=about)
    add_generation(verb)
    add_json(verb)
    verb.set_defaults(run=_show)


def readable(about: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each field, and the fields of an object below its name."""
    for name, value in about.items():
        if not isinstance(value, dict | list) or not value:
            yield f"{name:<16}{'–' if value in (None, {}, []) else value}"
            continue
        yield name
        entries = value.items() if isinstance(value, dict) else enumerate(value, 1)
        for key, entry in entries:
            if _is_table(entry):
                yield f"  {key}"
                yield from (f"    {_short(row)}" for row in entry)
            else:
                yield f"  {key!s:<22}  {_short(entry)}"


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(field)}" for name, field in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def _show(store: Path, options: argparse.Namespace) -> int:
    about = read_manifest(snapshot_folder(store, requested_generation(store, options))).as_json()
    report(options, about, readable(about))
    return 0
