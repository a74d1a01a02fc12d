"""The scheduler's loop in this process, with real commands; tests follow its log."""

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cron.jobs import Job
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import JobState, read_state, write_state
from store.refresh_request import request_refresh, take_refresh_request
from store.stop import StopRequest

SUCCEED = [sys.executable, "-c", "pass"]
REFUSED = [sys.executable, "-c", "raise SystemExit(3)"]
FAIL = [sys.executable, "-c", "raise SystemExit(1)"]
RAISE = [sys.executable, "\0"]  # not a valid argument: Popen raises a ValueError
SHORT_PAUSE_MINUTES = 0.001


class CallOnText(logging.Handler):
    """Calls `action` at each record whose message contains `text`."""

    def __init__(self, text, action):
        super().__init__()
        self._text = text
        self._action = action

    def emit(self, record):
        if self._text in record.getMessage():
            self._action()


@pytest.fixture
def stop():
    return StopRequest()


@pytest.fixture
def on_log(caplog):
    """Call `action` at each log line that contains `text`."""
    caplog.set_level(logging.INFO, "cron")
    logger = logging.getLogger("cron")
    handlers: list[logging.Handler] = []

    def add(text, action):
        handler = CallOnText(text, action)
        handlers.append(handler)
        logger.addHandler(handler)

    yield add
    for handler in handlers:
        logger.removeHandler(handler)


def run_scheduler(folder, command, stop, poll_seconds=1):
    settings = CronSettings(path=str(folder), timezone="UTC", log_dir="")
    job = Job(
        tuple(command), at="03:30", retries=9, retry_minutes=SHORT_PAUSE_MINUTES, repeatable=True,
        name="refresh",
    )  # fmt: skip
    Scheduler(settings, {job.name: job}, folder / "store", stop).run(poll_seconds)


def second_time(action):
    calls: list[None] = []

    def call():
        calls.append(None)
        if len(calls) == 2:
            action()

    return call


def now():
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("days_ago", [1, 30, -400])
def test_a_missed_night_is_caught_up(tmp_path, stop, on_log, days_ago):
    """After a success of another day, or one recorded in the future, the first poll runs."""
    write_state(tmp_path / "refresh.json", JobState(last_success=now() - timedelta(days=days_ago)))
    on_log("refresh succeeded", stop.request)
    began = now()
    run_scheduler(tmp_path, SUCCEED, stop, poll_seconds=3600)
    success = read_state(tmp_path / "refresh.json").last_success
    assert success is not None
    assert began <= success <= now()


@pytest.mark.parametrize(
    ("command", "text"), [(FAIL, "refresh failed"), (RAISE, "refresh could not be run")]
)
def test_a_failure_is_recorded_and_tried_again(tmp_path, stop, on_log, command, text):
    """A refresh that fails, or that raises in this process, runs again after the pause."""
    on_log(text, second_time(stop.request))
    began = now()
    run_scheduler(tmp_path, command, stop)
    state = read_state(tmp_path / "refresh.json")
    assert state.last_success is None
    assert state.last_failure is not None
    assert began <= state.last_failure <= now()


def test_a_refresh_that_the_gate_refused_is_not_retried(tmp_path, stop, on_log, caplog):
    """It is logged as an error and counts as done: the same data would be refused again."""
    on_log("refresh refused by the gate", stop.request)
    began = now()
    run_scheduler(tmp_path, REFUSED, stop)
    state = read_state(tmp_path / "refresh.json")
    assert state.last_success is not None
    assert began <= state.last_success <= now()
    assert state.last_failure is None
    assert "ERROR" in {record.levelname for record in caplog.records}


def test_an_unwritable_state_file_does_not_end_the_loop(tmp_path, stop, on_log):
    """A failed write is logged, and the loop continues."""
    on_log(f"{tmp_path}/gone/refresh.json: cannot be written", second_time(stop.request))
    run_scheduler(tmp_path / "gone", FAIL, stop)


def test_polls_continue_when_local_time_goes_back(tmp_path, stop, on_log, on_signal, machine_zone):
    """The local clock is set back by a day between two polls; the next poll is on time."""

    def set_clock_back():
        machine_zone("Etc/GMT+12")
        on_log("refresh failed", stop.request)

    machine_zone("Etc/GMT-12")
    on_signal(set_clock_back)
    with subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -USR1 {os.getpid()}"]):
        run_scheduler(tmp_path, FAIL, stop)


def test_a_requested_refresh_runs_though_none_is_due(tmp_path, stop, on_log):
    """The request file of `/admin/train` starts one refresh and is removed."""
    write_state(tmp_path / "refresh.json", JobState(last_success=now()))
    (tmp_path / "store").mkdir()
    request_refresh(tmp_path / "store", "new films")
    requested: list[int] = []
    on_log("refresh requested: new films", lambda: requested.append(1))
    on_log("refresh succeeded", stop.request)

    run_scheduler(tmp_path, SUCCEED, stop, poll_seconds=3600)

    assert requested == [1]
    assert take_refresh_request(tmp_path / "store") is None


def test_a_request_that_cannot_be_removed_starts_no_refresh(tmp_path, stop, on_log):
    """It would start one at every poll otherwise; a refresh that is due still runs."""
    (tmp_path / "store/TRAIN").mkdir(parents=True)
    refused: list[int] = []
    on_log("cannot take the refresh request", lambda: refused.append(1))
    on_log("refresh succeeded", stop.request)

    run_scheduler(tmp_path, SUCCEED, stop, poll_seconds=3600)

    assert refused == [1]


def test_a_stopped_run_is_no_result(tmp_path, stop, on_log):
    """It is neither a success nor a failure, and due at the next start."""
    on_log("refresh started", stop.request)
    run_scheduler(tmp_path, [sys.executable, "-c", "import time; time.sleep(600)"], stop)
    state = read_state(tmp_path / "refresh.json")
    assert (state.last_success, state.last_failure) == (None, None)
