"""Events accounted for: every line that was sent has been accepted or quarantined."""

import contextlib
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import wait_until
from benchmarks.harness.tables import print_table
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
    """Wait until the collector has all lines; print their counts, and return what is wrong.

    Args:
        folder: Folder of the rehearsal, in which the collector still runs.
        n_sent: Number of lines that were sent.
    """
    with contextlib.suppress(TimeoutError):  # what is missing is counted below
        wait_until(
            lambda: n_collected(folder) >= n_sent, _PATIENCE_SECONDS, poll_seconds=_POLL_SECONDS
        )
    status = _status(folder)
    n_accepted, n_quarantined = (status.accepted, status.quarantined) if status else (0, 0)
    n_found, n_gaps = n_accepted + n_quarantined, len(status.gaps) if status else 0
    counts = {
        "sent": n_sent, "accepted": n_accepted, "quarantined": n_quarantined,
        "lost": max(0, n_sent - n_found), "twice": max(0, n_found - n_sent),
    }  # fmt: skip
    print_table(("events", "lines"), [(name, f"{n:,}") for name, n in counts.items()])
    problems = [f"{n_found:,} of {n_sent:,} lines were collected"] if n_found != n_sent else []
    if n_gaps:
        problems.append(f"the collector has lost {n_gaps} ranges of lines")
    return problems


def _status(folder: Path) -> Status | None:
    try:
        return read_status(folder / EVENTS, folder / STORE)
    except StreamError:  # nothing was flushed yet
        return None
