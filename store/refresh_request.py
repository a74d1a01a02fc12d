"""The request to train: somebody wants a refresh now, whatever the clock says.

    TRAIN           when, ISO 8601 UTC <TAB> why

A small text file beside `CURRENT`. The server's `/admin/train` leaves it; the
clock takes it away before it runs the refresh, so that a request which comes
meanwhile is not lost.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from store.durable import fsync_path, replace_durable
from store.errors import WriteError

_FILE: Final = "TRAIN"


def request_refresh(store: Path, why: str) -> None:
    """Ask for a refresh; asked twice before it begins, it runs once.

    Raises:
        WriteError: The store cannot be written to.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        replace_durable(store / _FILE, f"{at}\t{' '.join(why.split())}\n")
    except OSError as error:
        raise WriteError(store / _FILE, f"cannot be written: {error.strerror}") from error


def take_refresh_request(store: Path) -> str | None:
    """Return why a refresh was asked for, and forget it; None if nobody asked.

    Raises:
        WriteError: The request is there, but cannot be taken away.
    """
    path = store / _FILE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
        fsync_path(store)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(path, f"cannot be taken away: {error.strerror}") from error
    return text.strip().partition("\t")[2]
