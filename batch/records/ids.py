"""Ids of records, spelled as those of the events.

7 · "7"                       "7"
7.0 · "1.000000"              "7" and "1", if all ids of the column are whole numbers
true · 1.5 · null · [7]       not an id
"""

import re
from collections.abc import Collection
from typing import Final

_WHOLE: Final = re.compile(r"(-?\d+)(?:\.0*)?")


def id_text(value: object) -> str:
    """Return an id as text; "" if it is not one."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.1f}" if value.is_integer() else ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def whole_ids(ids: Collection[str]) -> dict[str, str] | None:
    """Return all ids without their fraction, by the ids as they are.

    Returns:
        None unless all are whole numbers and the first one has a fraction, which is 0.
    """
    if "." not in next(iter(ids), ""):
        return None
    found = {name: _WHOLE.fullmatch(name) for name in ids}
    whole = {name: match[1] for name, match in found.items() if match}
    return whole if len(whole) == len(found) else None
