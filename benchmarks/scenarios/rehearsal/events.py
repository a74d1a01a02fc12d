"""Events accounted for: every line that was sent has been accepted or quarantined."""

import contextlib
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import wait_until
from benchmarks.scenarios.rehearsal.settings import EVENTS, STORE
from stream.collect.status import Status, read_status
from stream.errors import StreamError

_PATIENCE_SECONDS: Final = 300.0  # on a busy machine
_POLL_SECONDS: Final = 0.2


def n_collected(folder: Path) -> int:
    """Return the number of lines that the collector has accepted or quarantined so far."""
    status = _status(folder)
    return status.accepted + status.quarantined if status else 0


def problems_of_events(folder: Path, n_sent: int) -> list[str]:
    """Wait until the collector has all lines, and return what is not accounted for.

    Args:
        folder: Folder of the rehearsal, in which the collector still runs.
        n_sent: Number of lines that were sent.
    """
    with contextlib.suppress(TimeoutError):  # what is missing is counted below
        wait_until(
            lambda: n_collected(folder) >= n_sent, _PATIENCE_SECONDS, poll_seconds=_POLL_SECONDS
        )
    found, status = n_collected(folder), _status(folder)
    problems = [f"{found:,} of {n_sent:,} lines were collected"] if found != n_sent else []
    if status and status.gaps:
        problems.append(f"the collector has lost {len(status.gaps)} ranges of lines")
    return problems


def _status(folder: Path) -> Status | None:
    try:
        return read_status(folder / EVENTS, folder / STORE)
    except StreamError:  # nothing was flushed yet
        return None
