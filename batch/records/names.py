"""Names in one field, such as genres or authors, in the forms in which files list them.

    Comedy|Drama · Comedy, Drama · Comedy; Drama            ─┐
    ["Comedy", "Drama"] · ['Comedy' 'Drama']                 ├─►  ("Comedy", "Drama")
    [{"id": 35, "name": "Comedy"}, {"id": 18, "name": …}]   ─┘

A list may be text in the notation of JSON, Python, NumPy or PostgreSQL (`{Comedy,Drama}`).
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from batch.records.fields import text

_SEPARATORS: Final = ("|", ";", ",")  # the first that occurs separates the names
_MAX_CHARACTERS: Final = 1 << 14  # of a text with names; longer ones are not parsed
_NUMPY: Final = re.compile(r"""\[\s*((?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+)\s*\]""")
_QUOTED: Final = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_POSTGRES: Final = re.compile(r"\{([^{}:]+)\}")


def names_in(value: object) -> tuple[str, ...]:
    """Return the distinct names in a field, in their order."""
    if isinstance(value, str):
        return _names_in_text(value)
    return _distinct(_listed(value)) if value and isinstance(value, list) else ()


@lru_cache(maxsize=1 << 12)  # a catalogue has few combinations of genres
def _names_in_text(value: str) -> tuple[str, ...]:
    value = value.strip()
    if len(value) > _MAX_CHARACTERS or text(value) is None:
        return ()
    if value[0] == "[":
        return _distinct(_listed(_literal_list(value)))
    if postgres := _POSTGRES.fullmatch(value):
        value = postgres[1].replace('"', "")
    separator = next((mark for mark in _SEPARATORS if mark in value), None)
    return _distinct(value.split(separator) if separator else [value])


def _listed(values: list[object]) -> Iterator[object]:
    """Yield the names of a list, of lists in it, and of objects with a name."""
    for value in values:
        if isinstance(value, dict):
            yield value["name"] if "name" in value else value.get("description")
        elif isinstance(value, list):
            yield from value
        else:
            yield value


def _literal_list(value: str) -> list[object]:
    """Return the list that a text spells; an empty one if it spells none."""
    if numpy := _NUMPY.fullmatch(value):  # to Python, these are one text
        return [single or double for single, double in _QUOTED.findall(numpy[1])]
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) else []
    return []


def _distinct(names: Iterable[object]) -> tuple[str, ...]:
    clean = {_clean(name): None for name in names if isinstance(name, str)}
    return tuple(filter(None, clean))


_clean = lru_cache(maxsize=1 << 12)(text)
