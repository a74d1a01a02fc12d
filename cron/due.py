"""When a refresh is due: arithmetic on instants, and nothing that waits.

    ──┬──────────────────────┬────────●──► time
      03:30 local            03:30    now       due, if no success began since
      yesterday              today              today's 03:30

The local clock is only asked where an instant comes from; instants themselves
are compared in UTC, so neither change of the clock can lose or double a night.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo

from cron.state import State


def last_due(now: datetime, at: time, zone: tzinfo | None) -> datetime:
    """Return the latest instant not after `now` at which the local clock showed `at`.

    A time that the clock skips in spring counts once, at the instant that the
    offset before the change gives (02:30 is then 03:30 on the clock); one that
    it shows twice in autumn counts once, the first time.

    Args:
        now: An aware datetime.
        at: The wall-clock time, without a zone.
        zone: The wall clock's zone; None means the machine's.

    Returns:
        The instant, in UTC.

    Source:
        PEP 495: `fold=0` names the first of two, and the offset before a gap.
    """
    today = now.astimezone(zone).date()
    # Where a change of the clock spans midnight (or, in Samoa in 2011, a whole
    # day), the day that is due need not be today or yesterday.
    days = [today + timedelta(days=offset) for offset in (-2, -1, 0, 1)]
    instants = [_instant(datetime.combine(day, at, zone)) for day in days]
    return max(instant for instant in instants if instant <= now)


def is_due(state: State, now: datetime, due_at: datetime, retry_pause: timedelta) -> bool:
    """Return whether a refresh should run now.

    It should if no success has begun since `due_at`, unless a failure is
    younger than `retry_pause`. What is recorded in the future comes from a
    clock that was wrong, and must not hold up the nights until then: it counts
    for nothing.
    """
    success, failure = state.last_success, state.last_failure
    is_done = success is not None and due_at <= success <= now
    is_paused = failure is not None and failure <= now < failure + retry_pause
    return not (is_done or is_paused)


def _instant(local: datetime) -> datetime:
    """Return when the clock showed `local`; one without a zone is the machine's.

    By way of the timestamp: for a time that the machine's clock skips,
    `astimezone` gives an instant an hour too early (Python 3.11).
    """
    return datetime.fromtimestamp(local.timestamp(), UTC)
