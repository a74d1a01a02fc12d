"""When a job is due: arithmetic on instants, without waiting.

    ──┬──────────────────────┬────────●──► time
      03:30 local            03:30    now       due, if no run began for today's 03:30
      yesterday              today

Local time is only used to compute an instant; instants are compared in UTC, so
no change to or from daylight saving time can lose or double a night.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from cron.child import Ending
from cron.jobs import Job
from cron.state import JobState

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def last_due(now: datetime, at: time, zone: tzinfo | None) -> datetime:
    """Return the latest instant not after `now` at which the local clock showed `at`.

    A time that the clock skips in spring counts once, at the instant that the
    offset before the change gives (02:30 is then 03:30 on the clock). A time that
    it shows twice in autumn counts once, the first time.

    Args:
        now: Current time, an aware datetime.
        at: Local time of day, without a zone.
        zone: Time zone of `at`; None means the machine's.

    Returns:
        Instant in UTC.

    Source:
        PEP 495: `fold=0` names the first of two, and the offset before a gap.
    """
    today = now.astimezone(zone).date()
    # Where a change of the clock spans midnight (or, in Samoa in 2011, a whole
    # day), the day that is due need not be today or yesterday.
    days = [today + timedelta(days=offset) for offset in (-2, -1, 0, 1)]
    instants = [_instant(datetime.combine(day, at, zone)) for day in days]
    return max(instant for instant in instants if instant <= now)


def due_at(job: Job, now: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the latest instant at which a job was due by the clock; None for one without."""
    if job.at_time is not None:
        return last_due(now, job.at_time, zone)
    if job.every_minutes:
        pause = timedelta(minutes=job.every_minutes)
        return _EPOCH + (now - _EPOCH) // pause * pause
    return None


def is_due(job: Job, state: JobState, now: datetime, at: datetime | None) -> bool:
    """Return whether a job should run now.

    It should if no run has succeeded or failed since it was due; after a failure, if retries are
    left and the pause is over; after an interrupted run, if it is repeatable. A time in the future
    was recorded while the machine's clock was wrong, and is ignored: it must not suppress the runs
    until then.

    Args:
        job: Job that is not running.
        state: State of its last runs.
        now: Current time.
        at: Latest time at which it was due; None if there was none.
    """
    if state.ending is Ending.INTERRUPTED and job.repeatable:
        return True
    if is_after_failure(state, now, at):
        return state.n_failures <= job.retries and now >= retry_at(job, state)
    if at is None:
        return False
    return state.last_success is None or not at <= state.last_success <= now


def due_since(job: Job, state: JobState, now: datetime, at: datetime | None) -> datetime | None:
    """Return since when a job should run; None if it should not run now.

    Args:
        job: Job that is not running.
        state: State of its last runs.
        now: Current time.
        at: Latest time at which it was due; None if there was none.
    """
    if not is_due(job, state, now, at):
        return None
    if state.ending is Ending.INTERRUPTED and job.repeatable:
        return state.began
    return retry_at(job, state) if is_after_failure(state, now, at) else at


def is_after_failure(state: JobState, now: datetime, at: datetime | None) -> bool:
    """Return whether the last run failed, and the job was not due again since."""
    failure = state.last_failure
    return bool(state.n_failures) and failure is not None and (at or failure) <= failure <= now


def retry_at(job: Job, state: JobState) -> datetime:
    """Return the end of the pause after the last failure."""
    assert state.last_failure is not None
    return state.last_failure + job.pause(state.n_failures)


def is_given_up(job: Job, state: JobState, zone: tzinfo | None) -> bool:
    """Return whether no retry follows the last failure: none is left, or the job is due before."""
    if not state.n_failures or state.last_failure is None:
        return False
    if state.n_failures > job.retries:
        return True
    at = due_at(job, retry_at(job, state), zone)
    return at is not None and at > state.last_failure


def _instant(local: datetime) -> datetime:
    """Return the instant of the local time `local`; without a zone it is the machine's.

    Computed by way of the timestamp: for a time that the machine's clock skips,
    `astimezone` gives an instant an hour too early (Python 3.11).
    """
    return datetime.fromtimestamp(local.timestamp(), UTC)
