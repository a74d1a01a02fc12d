"""JSON that other processes leave, with checked values: a page shows any of it.

Each function raises `ValueError` for what another program or a broken disk wrote there.
"""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from store.parse import excerpt, parse_json_object, parse_time, read_small

_MAX_BYTES: Final = 1 << 20


def read_document(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; None if there is no such file."""
    try:
        return parse_json_object(read_small(path, _MAX_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def number(value: object) -> float:
    """Return a finite number as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError(f"{excerpt(value)} is not a number")


def text(value: object) -> str:
    """Return a text as it is."""
    if isinstance(value, str):
        return value
    raise ValueError(f"{excerpt(value)} is not a text")


def seconds_since(iso: str, now: datetime) -> int:
    """Return the age of a time in ISO 8601."""
    return round((now - parse_time(iso)).total_seconds())


def iso_time(seconds: object) -> str:
    """Return seconds since 1970 as ISO 8601, UTC."""
    try:
        return datetime.fromtimestamp(number(seconds), UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError) as error:
        raise ValueError(f"{excerpt(seconds)} is not a time") from error
