"""What a run has left that did not end by itself: processes, found by a mark in their environment.

    scheduler, killed ──► child: ended by the kernel ──► its own children: run on
    next start ─────────► SIGKILL to all whose environment has CRON_RUN=/srv/…/var/cron/refresh

The mark is inherited, so a process that has left the process group has it too. One that has
cleared its environment is not found.
"""

import contextlib
import logging
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MARK: Final = "CRON_RUN"
_MAX_SCANS: Final = 10  # a process may start another one while it is being ended
_END_SECONDS: Final = 5.0  # a killed process ends at once, unless it waits for a disk

_log = logging.getLogger(__name__)


def mark(folder: Path, job: str) -> dict[str, str]:
    """Return what the environment of a run is marked with.

    Args:
        folder: Directory of the states.
        job: Name of the job.
    """
    return {_MARK: str(folder.resolve() / job)}


def end_leftovers(folder: Path, job: str) -> int:
    """Kill every process of the last runs of a job; the caller holds the job's lock.

    Returns:
        Number of processes that were killed.
    """
    wanted = "=".join(*mark(folder, job).items()).encode()
    n_killed = 0
    for _ in range(_MAX_SCANS):
        n_found = sum(_end(pid, wanted) for pid in _process_ids())
        if not n_found:
            break
        n_killed += n_found
    if n_killed:
        _log.warning("%s: %d processes that a run had left were killed", job, n_killed)
    return n_killed


def _process_ids() -> Iterator[int]:
    """Yield the id of every process but this one."""
    for one in Path("/proc").iterdir():
        if one.name.isdecimal() and int(one.name) != os.getpid():
            yield int(one.name)


def _end(pid: int, wanted: bytes) -> bool:
    """Kill a process if it has the mark; return whether it had."""
    # The descriptor names this very process: a number may be given to another one meanwhile.
    with contextlib.suppress(OSError):  # it has ended, is another user's, or pidfds are missing
        process = os.pidfd_open(pid)
        try:
            if wanted not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return False
            signal.pidfd_send_signal(process, signal.SIGKILL)
            ended = select.poll()
            ended.register(process, select.POLLIN)
            ended.poll(_END_SECONDS * 1000)
            return True
        finally:
            os.close(process)
    return False
