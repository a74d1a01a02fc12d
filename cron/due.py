"""When a refresh is due: arithmetic on instants, without waiting.

    ──┬──────────────────────┬────────●──► time
      03:30 local            03:30    now       due, if no success began since
      yesterday              today              today's 03:30

Local time is only used to compute an instant; instants are compared in UTC, so
no change to or from daylight saving time can lose or double a night.
"""

from datetime import UTC, datetime, time, timedelta, tzinfo

from cron.state import State


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


def is_due(state: State, now: datetime, due_at: datetime, retry_pause: timedelta) -> bool:
    """Return whether a refresh should run now.

    It should if no success has begun since `due_at`, unless a failure is
    younger than `retry_pause`. A time in the future was recorded while the
    machine's clock was wrong, and is ignored: it must not suppress the nights
    until then.
    """
    success, failure = state.last_success, state.last_failure
    is_done = success is not None and due_at <= success <= now
    is_paused = failure is not None and failure <= now < failure + retry_pause
    return not (is_done or is_paused)


def _instant(local: datetime) -> datetime:
    """Return the instant of the local time `local`; without a zone it is the machine's.

    Computed by way of the timestamp: for a time that the machine's clock skips,
    `astimezone` gives an instant an hour too early (Python 3.11).
    """
    return datetime.fromtimestamp(local.timestamp(), UTC)
