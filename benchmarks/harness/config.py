"""`marquee.toml` out of Python's values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

CONFIG: Final = "marquee.toml"

Sections = Mapping[str, Mapping[str, Any]]


def write_config(folder: Path, sections: Sections) -> Path:
    """Write a configuration file and return its path.

    Args:
        folder: Directory of the file; the commands of the service run in it.
        sections: Text, numbers and lists by key, by name of the section.
    """
    path = folder / CONFIG
    path.write_text("\n".join(map(_section, sections, sections.values())))
    return path


def _section(name: str, keys: Mapping[str, Any]) -> str:
    # Strings, numbers, booleans and lists are written alike in JSON and in TOML.
    lines = (f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"[{name}]\n{''.join(lines)}"
