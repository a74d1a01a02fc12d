"""What may be wrong: jobs that failed after their retries, an old refresh, a full disk."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cron.alarms import URGENT, Condition
from cron.child import Ending
from cron.due import is_given_up
from cron.jobs import REFRESH, Job
from cron.notify import NotifySettings
from cron.output import last_line, log_file
from cron.settings import CronSettings
from cron.state import JobState

_MIB: Final = 1 << 20
_HELP: Final = "see `python -m cron status`"


def names(states: Mapping[str, JobState]) -> frozenset[str]:
    """Return the names of all conditions of some jobs, and of the disk."""
    of_refresh = {"gate", "old lists"} if REFRESH in states else set()
    return frozenset({"disk", *of_refresh, *(f"job {name}" for name in states)})


def conditions(
    jobs: Mapping[str, Job],
    states: Mapping[str, JobState],
    settings: tuple[CronSettings, NotifySettings],
    store: Path,
    now: datetime,
) -> Iterator[Condition]:
    """Yield every condition, well or not.

    Args:
        jobs: Jobs by name.
        states: States of those to look at, by name.
        settings: Sections `[cron]` and `[notify]`.
        store: Directory of the store, whose disk is looked at.
        now: Current time.
    """
    cron, notify = settings
    for name, state in states.items():
        yield from _of_job(jobs[name], state, cron, now - timedelta(hours=notify.remind_hours))
    refresh = states.get(REFRESH)
    if refresh is not None and jobs[REFRESH].enabled:
        if not refresh.is_open:  # what it refused is not over before the next run has ended
            yield _gate(refresh)
        yield _stale(refresh, timedelta(hours=notify.stale_hours), now)
    yield _disk(store, notify.min_free_mib)


def _of_job(
    job: Job, state: JobState, cron: CronSettings, long_ago: datetime
) -> Iterator[Condition]:
    """Yield the condition of a job; none while it is running, or a retry follows."""
    name = f"job {job.name}"
    if state.ending in (Ending.SUCCEEDED, Ending.REFUSED):
        yield Condition(name, 0)
    elif state.ending is not None and is_given_up(job, state, cron.zone):
        success = state.last_success
        level = URGENT if success is not None and success < long_ago else 1
        log = log_file(cron.log_dir, job.name)
        text = f"{state.ending} with exit status {state.status}"
        yield Condition(name, level, f"{text}: {last_line(log)}; see {log}" if log else text)


def _gate(refresh: JobState) -> Condition:
    is_refused = refresh.ending is Ending.REFUSED
    text = "the gate refused the new lists, the old ones stay; see `python -m store ls`"
    return Condition("gate", int(is_refused), text)


def _stale(refresh: JobState, limit: timedelta, now: datetime) -> Condition:
    if refresh.last_success is None or refresh.last_success > now:
        return Condition("old lists", 0)
    age = now - refresh.last_success
    text = f"no refresh has succeeded since {refresh.last_success:%Y-%m-%d %H:%M} UTC"
    return Condition("old lists", (age > limit) + (age > 2 * limit), f"{text}; {_HELP}")


def _disk(store: Path, min_free_mib: float) -> Condition:
    folder = next(one for one in (store, *store.resolve().parents) if one.is_dir())
    disk = os.statvfs(folder)
    free_mib = disk.f_bavail * disk.f_frsize / _MIB
    level = (free_mib < min_free_mib) + (free_mib < min_free_mib / 2)
    return Condition("disk", level, f"{free_mib:,.0f} MiB are free at {folder}; make room there")
