"""Runs that new rows of a database start, by an injected clock; commands print the counts."""

import logging
import sqlite3
from contextlib import closing

import pytest

from cron import row_counts
from cron import scheduler as scheduler_module
from cron.jobs import read_jobs
from cron.notifier import Notifier
from cron.notify import NotifySettings
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import JobState, read_state, write_state
from store.config import load_section
from store.refresh_request import request_refresh
from store.stop import StopRequest
from tests.cron.test_order import ROOT, Clock, job, ran, scheduler_of

URL = "sqlite:///events.db"


@pytest.fixture(autouse=True)
def short_polls(monkeypatch):
    monkeypatch.setattr(scheduler_module, "_POLL_SECONDS", 0.002)


@pytest.fixture
def clock():
    return Clock("2026-03-01T12:00")


@pytest.fixture
def n_rows(tmp_path):
    """Write the number of rows that a count prints; None: the database is down."""
    file = tmp_path / "n_rows"

    def write(number):
        file.unlink(missing_ok=True) if number is None else file.write_text(f"{number}\n")

    write(0)
    return write


def counting(tmp_path, **keys):
    """Return a refresh that new rows start; a count is the content of a file."""
    command = ("sh", "-c", f"cat {tmp_path}/n_rows || echo rows failed: {URL}: it is down >&2")
    command = (*command[:2], f"{command[2]}; test -e {tmp_path}/n_rows")
    return job("refresh", data=(URL,), count_command=command, **{"data_rows": 100} | keys)


def polls(scheduler, clock):
    """Let the scheduler count, start what is due, and end it."""
    clock.forward(minutes=6)
    for _ in range(3):
        scheduler.step()
        scheduler.wait()


def test_new_rows_start_a_run_and_fewer_do_not(tmp_path, clock, n_rows):
    """Deleted rows are no growth; those that come after them are."""
    scheduler = scheduler_of(tmp_path, clock, counting(tmp_path))
    n_runs = []
    for number in (99, 100, 150, 199, 200, 200, 30, 129, 130):
        n_rows(number)
        polls(scheduler, clock)
        n_runs.append(len(ran(tmp_path)))
    assert n_runs == [0, 1, 1, 1, 2, 2, 2, 2, 3]
    assert scheduler.state("refresh").data_rows == 130


def test_a_share_of_the_rows_starts_a_run(tmp_path, clock, n_rows):
    """A first row does, then a tenth more."""
    scheduler = scheduler_of(tmp_path, clock, counting(tmp_path, data_rows=0, data_share=0.1))
    n_runs = []
    for number in (0, 1000, 1099, 1100):
        n_rows(number)
        polls(scheduler, clock)
        n_runs.append(len(ran(tmp_path)))
    assert n_runs == [0, 1, 1, 2]


def test_rows_are_counted_at_an_interval_and_before_each_run(tmp_path, clock, n_rows):
    """What came before a run by the clock is not new after it, however lately it came."""
    scheduler = scheduler_of(tmp_path, clock, counting(tmp_path, at="12:08"))
    write_state(tmp_path / "refresh.json", JobState(last_success=clock.now, data_rows=50))
    n_rows(60)
    polls(scheduler, clock)
    n_rows(1060)
    clock.forward(minutes=1)
    scheduler.step()
    assert not scheduler.is_busy()  # the next count is minutes away, and the run another minute
    clock.forward(minutes=1)
    for _ in range(2):
        scheduler.step()
        scheduler.wait()
    assert ran(tmp_path) == ["refresh"]
    polls(scheduler, clock)
    assert ran(tmp_path) == ["refresh"]
    assert scheduler.state("refresh").data_rows == 1060


def test_a_database_that_is_down_is_told_once_and_fails_no_run(tmp_path, clock, n_rows, caplog):
    """The run by the clock begins nevertheless; rows since the last count are new afterwards.

    A message follows after an hour, and is over with the next count.
    """
    caplog.set_level(logging.INFO)
    settings = CronSettings(path=str(tmp_path), timezone="UTC", log_dir=str(tmp_path / "log"))
    alarms = Notifier(settings, NotifySettings(min_free_mib=0.001), tmp_path / "store", None)
    refresh = counting(tmp_path, at="12:15")
    scheduler = Scheduler(
        settings, {"refresh": refresh}, tmp_path / "store", StopRequest(), alarms, clock
    )
    write_state(tmp_path / "refresh.json", JobState(last_success=clock.now, data_rows=50))
    n_rows(None)
    for _ in range(4):
        polls(scheduler, clock)
    assert ran(tmp_path) == ["refresh"]
    assert scheduler.state("refresh").n_failures == 0
    assert scheduler.state("refresh").data_rows == 50
    assert caplog.text.count("cannot be counted") == 1
    assert f"start no run: {URL}: it is down" in caplog.text
    assert alarms.alarms.levels() == {}
    clock.forward(minutes=50)
    polls(scheduler, clock)
    assert alarms.alarms.levels() == {"rows of refresh": 1}
    n_rows(150)
    polls(scheduler, clock)
    assert ran(tmp_path) == ["refresh"] * 2
    assert alarms.alarms.levels() == {}
    assert "150 rows in its databases, +100 since the last run" in caplog.text
    assert "can be counted again" in caplog.text


def test_a_hanging_count_is_ended_and_delays_no_other_job(tmp_path, clock, monkeypatch, caplog):
    """The job itself begins without a number, and with the one before in its state."""
    monkeypatch.setattr(row_counts, "GRACE_SECONDS", 0.0)
    hanging = job(
        "refresh", at="12:00", data=(URL,), data_rows=1, data_minutes=0.01,
        count_command=("sleep", "600"),
    )  # fmt: skip
    scheduler = scheduler_of(tmp_path, clock, hanging, job("other", every_minutes=60.0))
    scheduler.step()
    assert [name for name in ("refresh", "other") if scheduler.state(name).began] == ["other"]
    scheduler.wait()
    scheduler.step()
    scheduler.wait()
    assert sorted(ran(tmp_path)) == ["other", "refresh"]
    assert "no answer within 0.01 min; set a longer data_minutes" in caplog.text


def test_a_crash_between_count_and_start_starts_one_run(tmp_path, clock, n_rows):
    """The next scheduler counts again, and starts it once; a request made before is not lost."""
    (tmp_path / "store").mkdir()
    refresh = counting(tmp_path)
    n_rows(100)
    crashed = scheduler_of(tmp_path, clock, refresh)
    request_refresh(tmp_path / "store", "new films")
    crashed.step()
    crashed.wait()
    assert not read_state(tmp_path / "refresh.json").began
    for _ in range(2):
        polls(scheduler_of(tmp_path, clock, refresh), clock)
    assert ran(tmp_path) == ["refresh"]


def test_a_run_by_hand_counts_first(tmp_path, clock, n_rows):
    """The scheduler beside it, whose last count is older, takes nothing for new or deleted."""
    refresh = counting(tmp_path)
    scheduler = scheduler_of(tmp_path, clock, refresh)
    n_rows(10)
    polls(scheduler, clock)
    n_rows(500)
    clock.forward(minutes=1)
    assert scheduler_of(tmp_path, clock, refresh).run_now("refresh") == "succeeded"
    scheduler.step()
    assert scheduler.state("refresh").data_rows == 500
    polls(scheduler, clock)
    assert ran(tmp_path) == ["refresh"]


def test_rows_of_a_real_database_start_a_run(tmp_path, clock, monkeypatch, caplog):
    """By the settings of a user; a view counts like a table, and a missing one is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    file = tmp_path / "marquee.toml"
    file.write_text(
        "[cron.jobs.learn]\ncommand = ['true']\ndata_rows = 3\n"
        "data = ['sqlite:///events.db?table=watched']\n"
    )
    jobs = read_jobs(load_section("cron", CronSettings, file, {}), file)
    scheduler = scheduler_of(tmp_path, clock, jobs["learn"])
    with closing(sqlite3.connect("events.db")) as database:
        polls(scheduler, clock)
        assert "no such table: watched" in caplog.text
        database.execute("CREATE TABLE views (user_id, item_id)")
        database.execute("CREATE VIEW watched AS SELECT * FROM views WHERE user_id <> 'bot'")
        for user in ("a", "b", "bot", "c"):
            database.execute("INSERT INTO views VALUES (?, 'film')", (user,))
        database.commit()
    polls(scheduler, clock)
    assert ran(tmp_path) == ["learn"]
    assert read_state(tmp_path / "learn.json").data_rows == 3
