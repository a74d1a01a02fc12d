"""When a job is due: known answers, and properties of every zone and hour."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cron.child import Ending
from cron.due import due_at, is_due, is_given_up, last_due
from cron.jobs import Job
from cron.state import JobState

BERLIN = ZoneInfo("Europe/Berlin")
HALF_PAST_TWO = time(2, 30)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]

instants = st.integers(631_152_000, 2_114_380_800).map(  # 1990 to 2037
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.builds(time, st.integers(0, 23), st.integers(0, 59))


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-01-10 01:30", "2026-01-10 01:30"),  # exactly on time
        ("2026-01-10 01:29", "2026-01-09 01:30"),  # a minute early: last night's
        ("2026-07-10 12:00", "2026-07-10 00:30"),  # in summer, an hour earlier
        ("2026-03-29 01:29", "2026-03-28 01:30"),  # spring: 02:30 is skipped, and …
        ("2026-03-29 01:30", "2026-03-29 01:30"),  # … is due when the clock shows 03:30
        ("2026-03-30 00:29", "2026-03-29 01:30"),
        ("2026-10-25 00:30", "2026-10-25 00:30"),  # autumn: the first 02:30, and …
        ("2026-10-25 01:30", "2026-10-25 00:30"),  # … not the second
        ("2026-10-26 01:29", "2026-10-25 00:30"),
    ],
)
@pytest.mark.parametrize("is_machine_zone", [False, True])
def test_half_past_two_in_berlin(now, due, is_machine_zone, machine_zone):
    """02:30 in Berlin is due once a day, by name and as the machine's own zone."""
    machine_zone("Europe/Berlin" if is_machine_zone else "Asia/Tokyo")
    found = last_due(utc(now), HALF_PAST_TWO, None if is_machine_zone else BERLIN)
    assert found == utc(due)
    assert found.tzinfo is UTC


def test_a_year_has_one_run_a_day():
    """Seen every quarter of an hour, a year in Berlin has 365 due instants."""
    quarters = (utc("2026-01-01 01:30") + timedelta(minutes=15 * i) for i in range(365 * 96))
    assert len({last_due(now, HALF_PAST_TWO, BERLIN) for now in quarters}) == 365


@given(now=instants, later=st.timedeltas(timedelta(0), timedelta(days=3)), at=times, zone=zones)
def test_due_instants_are_ordered(now, later, at, zone):
    """A due instant is its own latest one, is not in the future, and never decreases."""
    due = last_due(now, at, zone)
    assert last_due(due, at, zone) == due
    assert due <= now < due + timedelta(days=2)
    assert due <= last_due(now + later, at, zone)


@given(now=instants, at=times, zone=zones)
def test_local_time_at_a_due_instant(now, at, zone):
    """The local clock shows `at`, unless it skips that time on that day."""
    due = last_due(now, at, zone)
    offset, offset_before = (
        instant.astimezone(zone).utcoffset() for instant in (due, due - timedelta(days=1))
    )
    assert offset is not None
    assert offset_before is not None
    assert due.astimezone(zone).time() == at or offset > offset_before


NOW, DUE_AT = utc("2026-01-10 12:00"), utc("2026-01-10 02:30")
JOB = Job(("true",), retries=2, retry_minutes=30.0)


@pytest.mark.parametrize(
    ("success", "failure", "n_failures", "due"),
    [
        (None, None, 0, True),  # no run yet
        ("2026-01-10 02:29", None, 0, True),  # yesterday's
        ("2026-01-10 02:30", None, 0, False),  # tonight's
        ("2026-01-10 12:01", None, 0, True),  # recorded in the future
        (None, "2026-01-10 11:31", 1, False),  # the pause after a failure
        (None, "2026-01-10 11:30", 1, True),  # the pause is over
        (None, "2026-01-10 11:30", 2, False),  # the second pause is longer
        (None, "2026-01-10 11:00", 2, True),
        (None, "2026-01-10 03:00", 3, False),  # no retries are left
        (None, "2026-01-09 03:00", 3, True),  # those failures were yesterday's
        (None, "2026-01-10 12:01", 1, True),  # recorded in the future
        ("2026-01-10 02:31", "2026-01-10 03:00", 1, True),  # one failed after tonight's success
    ],
)
def test_is_due(success, failure, n_failures, due):
    """A job is due if no run succeeded since its hour; after a failure, while retries are left."""
    state = JobState(success and utc(success), failure and utc(failure), n_failures)
    assert is_due(JOB, state, NOW, DUE_AT) is due


NIGHTLY = {"at": "02:30"}


@pytest.mark.parametrize(
    ("times", "failure", "n_failures", "given_up"),
    [
        (NIGHTLY, "2026-01-10 03:00", 2, False),
        (NIGHTLY, "2026-01-10 03:00", 3, True),  # no retries are left
        (NIGHTLY, "2026-01-10 01:40", 2, True),  # 02:30 comes before the retry
        (NIGHTLY, "2026-01-10 01:40", 1, False),  # the retry comes before 02:30
        ({"every_minutes": 60.0}, "2026-01-10 03:01", 1, False),
        ({"every_minutes": 60.0}, "2026-01-10 03:32", 2, True),
        ({"every_minutes": 1.0}, "2026-01-10 03:01", 1, True),
        ({"every_minutes": 1.0}, "2026-01-10 03:01", 0, False),  # it has succeeded since
        ({}, "2026-01-10 03:01", 2, False),  # a job after others
    ],
)
def test_a_job_is_given_up_when_it_is_due_before_its_retry(times, failure, n_failures, given_up):
    """Else the failures of a job that runs every minute would never be told."""
    job = Job(("true",), retries=2, retry_minutes=30.0, **times)
    state = JobState(None, utc(failure), n_failures, ending=Ending.FAILED)
    assert is_given_up(job, state, UTC) is given_up


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_a_repeatable_job_is_due_after_an_interrupted_run(is_repeatable):
    """Also if that was a run on request or for new data, after tonight's success."""
    job = Job(("true",), repeatable=is_repeatable)
    state = JobState(last_success=utc("2026-01-10 02:31"), ending=Ending.INTERRUPTED)
    assert is_due(job, state, NOW, DUE_AT) is is_repeatable


def test_pauses_double_up_to_six_hours():
    """A long pause of the settings is kept as it is."""
    hours = [JOB.pause(n) / timedelta(hours=1) for n in range(1, 8)]
    assert hours == [0.5, 1, 2, 4, 6, 6, 6]
    long = Job(("true",), retry_minutes=600.0)
    assert [long.pause(n) for n in (1, 2, 1000)] == [timedelta(hours=10)] * 3


@given(
    now=instants,
    minutes=st.integers(1, 10_000),
    later=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_every_so_many_minutes(now, minutes, later):
    """Due instants are multiples of the pause, and never decrease."""
    job = Job(("true",), every_minutes=float(minutes))
    due = due_at(job, now, None)
    assert due is not None
    assert due <= now < due + timedelta(minutes=minutes)
    assert due.timestamp() % (60 * minutes) == 0
    after = due_at(job, now + later, None)
    assert after is not None
    assert due <= after
