"""Jobs beside each other and after each other, by an injected clock and real commands."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cron.child import Ending, Run
from cron.jobs import Job, read_jobs
from cron.lock import locked_job
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import read_history, read_state, write_state
from store.pointer import current
from store.refresh_request import request_refresh
from store.stop import StopRequest
from tests.snapshots import make_snapshot

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, text):
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def __call__(self):
        return self.now

    def forward(self, **span):
        self.now += timedelta(**span)


def job(name, code="pass", **keys):
    return Job((sys.executable, "-c", code), name=name, **keys)


def scheduler_of(tmp_path, clock, *jobs):
    settings = CronSettings(path=str(tmp_path), timezone="UTC", log_dir=str(tmp_path / "log"))
    named = {job.name: job for job in jobs}
    return Scheduler(settings, named, tmp_path / "store", StopRequest(), clock=clock)


def step(scheduler):
    """Start what is due, and wait until it is over."""
    scheduler.step()
    scheduler.wait()


def ran(tmp_path):
    return [run["job"] for run in read_history(tmp_path, 1000)]


def test_a_job_goes_after_those_that_are_due(tmp_path):
    """Both are due at 03:30: the second starts once the first has ended."""
    clock = Clock("2026-03-01T12:00")
    first = job("fetch", at="03:30")
    second = job("refresh", at="03:30", after=("fetch",))
    scheduler = scheduler_of(tmp_path, clock, second, first)
    scheduler.step()
    assert scheduler.state("fetch").is_open
    assert not scheduler.state("refresh").is_open
    scheduler.wait()
    step(scheduler)
    assert ran(tmp_path) == ["fetch", "refresh"]


def test_a_job_waits_for_one_that_is_run_by_hand(tmp_path):
    """Though that is not due; it starts once the run is over."""
    clock = Clock("2026-03-01T12:00")
    second = job("refresh", every_minutes=60.0, after=("fetch",))
    scheduler = scheduler_of(tmp_path, clock, job("fetch", at="03:30"), second)
    for _ in range(2):
        step(scheduler)
    clock.forward(hours=1)
    with locked_job(tmp_path, "fetch"):
        began = scheduler.state("fetch").begin(clock.now, 0, is_retry=False)
        write_state(tmp_path / "fetch.json", began)
        step(scheduler)
        assert ran(tmp_path) == ["fetch", "refresh"]
    write_state(tmp_path / "fetch.json", began.end(clock.now, Run(Ending.SUCCEEDED, 0, 1.0)))
    step(scheduler)
    assert ran(tmp_path) == ["fetch", "refresh", "refresh"]


def test_a_job_that_is_always_due_holds_no_other_up(tmp_path):
    """Its runs take longer than its interval; a job due by the clock or requested waits for one."""
    clock = Clock("2026-03-01T12:00")
    (tmp_path / "store").mkdir()
    always = job("fetch", every_minutes=1.0)
    nightly = job("refresh", at="03:30", after=("fetch",))
    scheduler = scheduler_of(tmp_path, clock, always, nightly)
    for n_refreshes in (1, 2):
        clock.forward(minutes=2)
        scheduler.step()
        assert scheduler.state("fetch").is_open
        assert not scheduler.state("refresh").is_open
        if n_refreshes == 2:
            request_refresh(tmp_path / "store", "new films")
        for _ in range(2):
            clock.forward(minutes=2)
            step(scheduler)
        assert ran(tmp_path).count("refresh") == n_refreshes


def test_a_failed_job_holds_no_other_up(tmp_path):
    """While it waits for its retry, the one after it runs with what is there."""
    clock = Clock("2026-03-01T12:00")
    scheduler = scheduler_of(
        tmp_path, clock, job("fetch", "raise SystemExit(1)", at="03:00"),
        job("refresh", at="03:30", after=("fetch",)),
    )  # fmt: skip
    step(scheduler)
    step(scheduler)
    assert ran(tmp_path) == ["fetch", "refresh"]


def test_without_a_time_a_job_runs_after_each_success(tmp_path):
    """Not after a failure, and once after a success."""
    clock = Clock("2026-03-01T12:00")
    code = f"import pathlib; raise SystemExit(pathlib.Path({str(tmp_path)!r}, 'bad').exists())"
    scheduler = scheduler_of(
        tmp_path, clock, job("refresh", code, at="03:30", retries=0),
        job("push", after=("refresh",)),
    )  # fmt: skip
    for is_bad in (False, True, False):
        (tmp_path / "bad").touch() if is_bad else (tmp_path / "bad").unlink(missing_ok=True)
        for _ in range(4):
            clock.forward(minutes=1)
            step(scheduler)
        clock.forward(days=1)
    assert ran(tmp_path) == ["refresh", "push", "refresh", "refresh", "push"]


def test_a_long_job_does_not_hold_up_a_short_one(tmp_path):
    """The hourly one runs while the nightly one is still running, and that is not started again."""
    clock = Clock("2026-03-01T03:30")
    scheduler = scheduler_of(
        tmp_path, clock, job("refresh", "import time; time.sleep(600)", at="03:30"),
        job("watch", every_minutes=60.0),
    )  # fmt: skip
    for _ in range(3):
        scheduler.step()
        while scheduler.state("watch").is_open:
            scheduler.step()
        clock.forward(hours=1)
    assert ran(tmp_path) == ["watch"] * 3
    assert scheduler.run_now("refresh") is None  # it is running
    scheduler._end_all()
    assert read_history(tmp_path, 1)[0]["ending"] == "stopped"


@pytest.mark.parametrize("has_hour", [True, False])
def test_growth_of_data_starts_a_run(tmp_path, has_hour):
    """Enough new bytes since the last run start one, less do not; the job after it waits."""
    data = tmp_path / "events"
    data.mkdir()
    clock = Clock("2026-03-01T12:00")
    refresh = job(
        "refresh", at="03:30" if has_hour else "", data=(str(data),), data_mib=1.0, retries=1,
    )  # fmt: skip
    push = job("push", every_minutes=1440.0, after=("refresh",))
    scheduler = scheduler_of(tmp_path, clock, push, refresh)  # `push` is looked at first
    for number, size in enumerate((0, 900_000, 200_000, 0)):
        (data / f"{number}.parquet").write_bytes(bytes(size))
        clock.forward(minutes=2)
        step(scheduler)
        step(scheduler)
    assert ran(tmp_path) == ["refresh", "push", "refresh"] if has_hour else ["push", "refresh"]


def test_a_failed_run_for_new_data_is_retried(tmp_path):
    """After its pause and as often as any other; more data start a run of their own."""
    data = tmp_path / "events"
    clock = Clock("2026-03-01T12:00")
    failing = job("refresh", "raise SystemExit(1)", data=(str(data),), data_mib=1.0, retries=1)
    scheduler = scheduler_of(tmp_path, clock, failing)
    n_runs = []
    for hour in range(6):
        if hour in (0, 4):
            data.write_bytes(bytes((1 + hour) << 20))
        step(scheduler)
        step(scheduler)
        n_runs.append(len(ran(tmp_path)))
        clock.forward(hours=1)
    assert n_runs == [1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_a_killed_scheduler_leaves_a_run_that_is_dealt_with_once(tmp_path, is_repeatable):
    """The next one runs a repeatable job again, and another one not until it is due."""
    program = f"""
        import os, signal, sys
        from tests.cron.test_order import Clock, job, scheduler_of
        clock = Clock("2026-03-01T12:00")
        hanging = job("nightly", "import time; time.sleep(600)", at="03:30")
        scheduler_of(__import__("pathlib").Path({str(tmp_path)!r}), clock, hanging).step()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    state = read_state(tmp_path / "nightly.json")
    assert state.is_open
    clock = Clock("2026-03-01T12:05")
    scheduler = scheduler_of(tmp_path, clock, job("nightly", at="03:30", repeatable=is_repeatable))
    for _ in range(3):
        step(scheduler)
        clock.forward(hours=1)
    endings = [run["ending"] for run in read_history(tmp_path, 9)]
    assert endings == [Ending.INTERRUPTED, *[Ending.SUCCEEDED] * is_repeatable]
    clock.forward(days=1)
    step(scheduler)
    assert read_history(tmp_path, 1)[0]["ending"] == Ending.SUCCEEDED


@pytest.mark.parametrize(
    ("begin", "nights"),
    [
        # The night before the first is caught up. In spring 02:30 is skipped; the machine is off.
        ("2026-03-27", ["27T00", "27T02", "28T02", "30T06", "31T01", "01T01"]),
        ("2026-10-23", ["23T00", "23T01", "24T01", "26T06", "27T02", "28T02"]),
    ],
)
def test_nights_in_berlin(tmp_path, begin, nights):
    """Through both changes of the clock, and two days off, each night has one run."""
    settings = CronSettings(path=str(tmp_path), timezone="Europe/Berlin", log_dir="")
    clock = Clock(f"{begin}T00:00")
    jobs = {"refresh": Job(("true",), at="02:30", name="refresh")}
    scheduler = Scheduler(settings, jobs, tmp_path / "s", StopRequest(), clock=clock)
    for hour in range(6 * 24):
        if not 30 <= hour < 78:
            step(scheduler)
        clock.forward(hours=1)
    assert [run["began"][8:13] for run in read_history(tmp_path, 99)] == nights


def test_an_exception_in_a_job_counts_as_a_failure_with_its_pauses(tmp_path):
    """It ends no poll, runs again after the pause alone, and another job runs beside it."""
    clock = Clock("2026-03-01T12:00")
    bad = Job((sys.executable, "\0"), at="03:30", retries=2, retry_minutes=60.0, name="bad")
    scheduler = scheduler_of(tmp_path, clock, bad, job("good", every_minutes=60.0))
    n_failures = []
    for _ in range(10):
        step(scheduler)
        n_failures.append(scheduler.state("bad").n_failures)
        clock.forward(minutes=30)
    assert n_failures == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert ran(tmp_path) == ["good"] * 5


def test_a_request_during_a_run_by_hand_is_kept(tmp_path):
    """It starts one refresh after that run, though none is due, of another scheduler too."""
    clock = Clock("2026-03-01T12:00")
    (tmp_path / "store").mkdir()
    scheduler = scheduler_of(tmp_path, clock, job("refresh", at="03:30"))
    step(scheduler)
    request_refresh(tmp_path / "store", "new films")
    with locked_job(tmp_path, "refresh"):
        step(scheduler)
        assert ran(tmp_path) == ["refresh"]
    restarted = scheduler_of(tmp_path, clock, job("refresh", at="03:30"))
    for _ in range(3):
        step(restarted)
    assert ran(tmp_path) == ["refresh"] * 2


def test_the_log_of_a_job_and_the_reason_of_its_failure(tmp_path, caplog):
    """Output goes to the job's file; the scheduler's log has its last line."""
    clock = Clock("2026-03-01T12:00")
    code = "print('half way'); raise SystemExit('disk is full; make room')"
    scheduler = scheduler_of(tmp_path, clock, job("refresh", code, at="03:30"))
    step(scheduler)
    assert "half way" in (tmp_path / "log/refresh.log").read_text()
    assert "refresh failed after" in caplog.text
    assert "exit status 1: disk is full; make room" in caplog.text
    assert json.loads((tmp_path / "refresh.json").read_text())["n_failures"] == 1


def test_a_backup_follows_each_refresh_that_succeeded(tmp_path):
    """`push` copies the new snapshot to the directory of `push_url`; a failed refresh starts none.

    The refreshes are other commands, which fail or not; the push is the built-in one.
    """
    store, backup = tmp_path / "store", tmp_path / "backup"
    make_snapshot(store, {"u": ["a"]}, ["a"])
    file = tmp_path / "marquee.toml"
    file.write_text(f'[store]\npath = "{store}"\n')
    settings = CronSettings(
        path=str(tmp_path / "cron"),
        timezone="UTC",
        log_dir=str(tmp_path / "log"),
        push_url=str(backup),
    )
    push = read_jobs(settings, file)["push"]
    clock = Clock("2026-03-01T12:00")
    for code in ("raise SystemExit(1)", "pass"):
        refresh = job("refresh", code, at="03:30")
        scheduler = Scheduler(
            settings, {"refresh": refresh, "push": push}, store, StopRequest(), clock=clock
        )
        step(scheduler)
        step(scheduler)
        assert backup.exists() == (code == "pass")
        clock.forward(days=1)
    assert current(backup) == current(store)
    assert scheduler.state("push").ending is Ending.SUCCEEDED
