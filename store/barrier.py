"""The barrier: replicas flip to a new generation at one time, when all have it in place.

    node-1   fetch ─► report ready ───────────────────────┐ lead_seconds
    node-2   fetch ───────────────► report ready ─────────┼────────────► flip
    node-3   gone: its last report is max_wait_seconds old ┘

No node decides for others. Each computes the time of the flip from the reports of all,
by one formula, and the reports of a generation do not change once all have it: so all
find the same time, if their clocks agree and they look within `lead_seconds`. From then
on a node needs the remote no more: it flips though the network fails.

A node that comes late finds the generation served already, and flips at once. The
barrier is for what is new: a rollback, takedowns and what is in place everywhere
are followed at once. A user who is answered by two machines then goes back in
time at most for the difference of their clocks and of the time that a flip takes.
"""

import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from store.errors import ExperimentError
from store.experiment import experiment_beside
from store.pointer import current_or_none
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.replica_status import ReplicaStatus, read_status, report

Statuses = Mapping[str, ReplicaStatus | None]

POLLS_OF_LEAD: Final = 4  # a node that waits looks so often within `lead_seconds`

_log = logging.getLogger(__name__)


def wait_for_others(
    store: Path, remote: Remote, replica: ReplicaSettings, newest: int
) -> tuple[str, ...]:
    """Report that `newest` is in place, and wait for the flip if its time is near.

    Args:
        store: Directory of the store.
        remote: Remote that holds the reports.
        replica: Name of this machine, and the barrier; without one nothing is waited for.
        newest: Newest generation of what is to be served.

    Returns:
        Replicas that are waited for, so that this pull must not flip; empty if it may.

    Raises:
        ReplicaError: The reports cannot be read or written.
    """
    if not replica.barrier or newest <= _newest_served(store):
        return ()
    own = report(store, remote, replica, newest)
    statuses: dict[str, ReplicaStatus | None] = {
        name: own if name == replica.name else read_status(remote, name) for name in replica.barrier
    }
    now = time.time()
    if _is_served(statuses, newest, since=now - replica.max_wait_seconds):
        return ()
    missing = tuple(name for name, one in statuses.items() if not (one and one.has(newest)))
    seconds = flip_time(statuses, newest, replica) - now
    if missing and seconds > replica.lead_seconds:
        return missing
    time.sleep(min(max(seconds, 0.0), replica.lead_seconds))
    for name in missing:
        _log.warning("generation %d is served without %s: %s", newest, name, _last(statuses[name]))
    return ()


def flip_time(statuses: Statuses, newest: int, replica: ReplicaSettings) -> float:
    """Return the time at which all flip, seconds since 1970.

    That is `lead_seconds` after the last replica was ready. One that is not ready counts
    as if it were so `max_wait_seconds` after its last report, or after the first replica
    was ready if that is earlier; later than this counts none.

    Args:
        statuses: Reports of the barrier's replicas, None without one. One is ready at least.
        newest: Generation that they flip to.
        replica: Times of the barrier.
    """
    ready = [status.ready_at for status in statuses.values() if status and status.has(newest)]
    first = min(ready)
    latest = first + replica.max_wait_seconds
    expected = [
        min(status.seen_at, first) if status and status.is_readable else first
        for status in statuses.values()
        if not (status and status.has(newest))
    ]
    due = [*ready, *(last + replica.max_wait_seconds for last in expected)]
    return min(max(due), latest) + replica.lead_seconds


def _is_served(statuses: Statuses, newest: int, since: float) -> bool:
    """Return whether a replica serves that generation already, or none serves an older one.

    Reports from before `since` do not count.
    """
    alive = [status for status in statuses.values() if status and status.seen_at >= since]
    return max((one.current for one in alive if one.current), default=newest) >= newest


def _newest_served(store: Path) -> int:
    """Return the newest generation that users here get, arms included; 0 for none."""
    current = current_or_none(store)
    if current is None:
        return 0
    experiment = None
    with contextlib.suppress(ExperimentError):  # damaged: all users get the current one
        experiment = experiment_beside(store, current)
    return max(current, *(experiment.generations if experiment else [current]))


def _last(status: ReplicaStatus | None) -> str:
    if status is None:
        return "it has never reported"
    if status.problem:
        return status.problem
    return f"its last report is {time.time() - status.seen_at:.0f} s old"
