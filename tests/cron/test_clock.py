"""The loop, in this process, with real commands; what it logs tells how far it is."""

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import State, read_state, write_state
from cron.stop import StopRequest
from store.refresh_request import request_refresh, take_refresh_request

SUCCEED = [sys.executable, "-c", "pass"]
REFUSED = [sys.executable, "-c", "raise SystemExit(3)"]
FAIL = [sys.executable, "-c", "raise SystemExit(1)"]
RAISE = [sys.executable, "\0"]  # no such argument can be given: Popen raises a ValueError
AT_ONCE = 0.001  # minutes


@pytest.fixture
def stop():
    return StopRequest()


@pytest.fixture
def on_log(caplog):
    """Call `action` at each log line that contains `text`."""
    caplog.set_level(logging.INFO, "cron")
    logger, handlers = logging.getLogger("cron"), []

    def add(text, action):
        handler = logging.Handler()
        handler.emit = lambda record: action() if text in record.getMessage() else None
        handlers.append(handler)
        logger.addHandler(handler)

    yield add
    for handler in handlers:
        logger.removeHandler(handler)


def run_clock(folder, command, stop, poll_seconds=1):
    settings = CronSettings(path=str(folder), timezone="UTC", retry_minutes=AT_ONCE)
    Scheduler(settings, folder / "store", command, stop).run(poll_seconds)


def second_time(action):
    calls = []

    def call():
        calls.append(None)
        if len(calls) == 2:
            action()

    return call


def now():
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("days_ago", [1, 30, -400])
def test_a_missed_night_is_caught_up(tmp_path, stop, on_log, days_ago):
    """After a success of another day, or of a clock that was wrong, the first poll runs."""
    write_state(tmp_path / "refresh.json", State(last_success=now() - timedelta(days=days_ago)))
    on_log("the refresh succeeded", stop.request)
    began = now()
    run_clock(tmp_path, SUCCEED, stop, poll_seconds=3600)
    assert began <= read_state(tmp_path / "refresh.json").last_success <= now()


@pytest.mark.parametrize(
    ("command", "text"), [(FAIL, "the refresh failed"), (RAISE, "the refresh could not be run")]
)
def test_a_failure_is_recorded_and_tried_again(tmp_path, stop, on_log, command, text):
    """A refresh that fails, or raises in our own process, comes again after the pause."""
    on_log(text, second_time(stop.request))
    began = now()
    run_clock(tmp_path, command, stop)
    state = read_state(tmp_path / "refresh.json")
    assert state.last_success is None
    assert began <= state.last_failure <= now()


def test_what_the_gate_refused_is_not_built_again_and_again(tmp_path, stop, on_log, caplog):
    """It is an error in the log, and done until the next night: the same data would be refused."""
    on_log("the refresh was refused by the gate", stop.request)
    began = now()
    run_clock(tmp_path, REFUSED, stop)
    state = read_state(tmp_path / "refresh.json")
    assert began <= state.last_success <= now()
    assert state.last_failure is None
    assert "ERROR" in {record.levelname for record in caplog.records}


def test_an_unwritable_record_is_no_end(tmp_path, stop, on_log):
    """Where the record cannot be written, that is logged and the loop goes on."""
    on_log(f"{tmp_path}/gone/refresh.json: not written", second_time(stop.request))
    run_clock(tmp_path / "gone", FAIL, stop)


def test_local_time_that_goes_back_is_no_pause(tmp_path, stop, on_log, on_signal, machine_zone):
    """When the local clock falls back by a day between two polls, they go on as before."""

    def fall_back():
        machine_zone("Etc/GMT+12")
        on_log("the refresh failed", stop.request)

    machine_zone("Etc/GMT-12")
    on_signal(fall_back)
    with subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -USR1 {os.getpid()}"]):
        run_clock(tmp_path, FAIL, stop)


def test_a_request_is_followed_though_nothing_is_due(tmp_path, stop, on_log):
    """What `/admin/train` leaves in the store starts one refresh, and is gone then."""
    write_state(tmp_path / "refresh.json", State(last_success=now()))
    (tmp_path / "store").mkdir()
    request_refresh(tmp_path / "store", "new films")
    asked = []
    on_log("a refresh was asked for: new films", lambda: asked.append(1))
    on_log("the refresh succeeded", stop.request)

    run_clock(tmp_path, SUCCEED, stop, poll_seconds=3600)

    assert asked == [1]
    assert take_refresh_request(tmp_path / "store") is None


def test_a_request_that_cannot_be_taken_away_starts_nothing(tmp_path, stop, on_log):
    """Else it would start a refresh at every poll; what is due is run all the same."""
    (tmp_path / "store/TRAIN").mkdir(parents=True)
    refused = []
    on_log("a request to train cannot be followed", lambda: refused.append(1))
    on_log("the refresh succeeded", stop.request)

    run_clock(tmp_path, SUCCEED, stop, poll_seconds=3600)

    assert refused == [1]


def test_a_stopped_run_is_not_recorded(tmp_path, stop, on_log):
    """A refresh that we stop has neither succeeded nor failed: it is due at the next start."""
    on_log("the refresh starts", stop.request)
    run_clock(tmp_path, [sys.executable, "-c", "import time; time.sleep(600)"], stop)
    assert not (tmp_path / "refresh.json").exists()
