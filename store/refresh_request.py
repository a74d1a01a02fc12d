"""A request for a refresh now, outside the schedule.

    TRAIN           time, ISO 8601 UTC <TAB> reason

A small text file beside `CURRENT`. The server's `/admin/train` writes it; the
scheduler removes it before it runs the refresh, so that a request made during the
refresh is not lost.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from store.durable import fsync_path, replace_durable
from store.errors import WriteError
from store.journal import one_line

_FILE: Final = "TRAIN"


def request_refresh(store: Path, why: str) -> None:
    """Request a refresh; two requests before it begins run it once.

    Raises:
        WriteError: The store cannot be written to.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        replace_durable(store / _FILE, f"{at}\t{one_line(why)}\n")
    except OSError as error:
        raise WriteError(store / _FILE, f"cannot be written: {error.strerror}") from error


def is_refresh_requested(store: Path) -> bool:
    """Return whether there is a request."""
    return os.path.lexists(store / _FILE)


def take_refresh_request(store: Path) -> str | None:
    """Remove the request and return its reason; None without a request.

    Raises:
        WriteError: The request exists, but cannot be removed.
    """
    path = store / _FILE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
        fsync_path(store)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(path, f"cannot be removed: {error.strerror}") from error
    return text.strip().partition("\t")[2]
