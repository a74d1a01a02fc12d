"""`python -m cron` from outside: its exit codes, what it logs, what it leaves."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta

import pytest

from cron.state import State, read_state, write_state

SUCCEED = "import sys; print('batch got', *sys.argv[1:])"
HANG = """
import os, pathlib, time
pathlib.Path("pid").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""


@pytest.fixture
def state_file(tmp_path):
    return tmp_path / "var" / "cron" / "refresh.json"


def test_a_failing_refresh_leaves_the_clock_running(tmp_path, cron, state_file, wait_until):
    """The real batch, which refuses its settings: logged, recorded, alive, and SIGTERM exits 0."""
    (tmp_path / "night.toml").write_text("[batch]\nno_such_key = 1\n")
    clock = cron("--config", "night.toml")
    clock.wait_for("ERROR the refresh failed")
    wait_until(state_file.exists)
    clock.process.send_signal(signal.SIGTERM)
    assert clock.wait() == 0
    assert "-m batch refresh --config night.toml" in clock.log()
    assert json.loads(state_file.read_text())["last_success"] is None
    assert read_state(state_file).last_failure is not None


def test_tonights_success_is_enough(tmp_path, cron, state_file):
    """A clock that starts after tonight's success runs nothing; SIGINT too exits 0."""
    state_file.parent.mkdir(parents=True)
    write_state(state_file, State(last_success=datetime.now(UTC)))
    hours_away = (datetime.now(UTC) - timedelta(hours=2)).strftime("%H:%M")
    settings = f'[cron]\nat = "{hours_away}"\ntimezone = "UTC"\n'
    (tmp_path / "marquee.toml").write_text(settings)
    clock = cron()
    clock.wait_for("the clock runs")
    clock.process.send_signal(signal.SIGINT)
    assert clock.wait() == 0
    assert "the refresh starts" not in clock.log()


def test_a_broken_record_is_no_end(cron, state_file, stand_in_batch):
    """A clock that cannot read its record says so, and runs the refresh."""
    stand_in_batch(SUCCEED)
    state_file.parent.mkdir(parents=True)
    state_file.write_text("{")
    clock = cron()
    clock.wait_for("the refresh succeeded")
    assert "var/cron/refresh.json: unreadable" in clock.log()


def test_once_runs_what_is_not_due(cron, state_file, stand_in_batch):
    """`--once` runs the refresh although tonight's ran, records it and exits 0."""
    stand_in_batch(SUCCEED)
    state_file.parent.mkdir(parents=True)
    before = State(last_success=datetime.now(UTC) - timedelta(seconds=5))
    write_state(state_file, before)
    once = cron("--once")
    assert once.wait() == 0
    assert "batch got refresh\n" in once.log()
    assert read_state(state_file).last_success > before.last_success


def test_once_that_fails_exits_1(cron, state_file, stand_in_batch):
    """`--once` exits 1 after a refresh that failed, and records that."""
    stand_in_batch("raise SystemExit(2)")
    once = cron("--once")
    assert once.wait() == 1
    assert "the refresh failed" in once.log()
    assert read_state(state_file).last_failure is not None


def test_once_times_out(tmp_path, cron, stand_in_batch, number_in, is_alive):
    """A refresh that hangs is ended at the time-out of the settings."""
    stand_in_batch(HANG)
    (tmp_path / "marquee.toml").write_text("[cron]\ntimeout_minutes = 0.05\n")
    once = cron("--once")
    assert once.wait() == 1
    assert "the refresh timed out" in once.log()
    assert not is_alive(number_in("pid"))


def test_sigterm_in_mid_run(cron, stand_in_batch, number_in, is_alive, state_file):
    """SIGTERM in the middle of a refresh ends both, with exit 0 and nothing recorded."""
    stand_in_batch(HANG)
    clock = cron()
    child = number_in("pid")
    clock.process.send_signal(signal.SIGTERM)
    assert clock.wait() == 0
    assert not is_alive(child)
    assert not state_file.exists()


def test_sigkill_in_mid_run(cron, stand_in_batch, number_in, is_alive, wait_until):
    """A clock killed by SIGKILL takes the refresh with it, and another may start."""
    stand_in_batch(HANG)
    first = cron()
    child = number_in("pid")
    first.process.kill()
    wait_until(lambda: not is_alive(child))
    cron().wait_for("the refresh starts")


@pytest.mark.parametrize("arguments", [[], ["--once"]])
def test_a_second_instance_is_refused(cron, stand_in_batch, arguments):
    """A second instance exits 1 and names the lock and the way out."""
    stand_in_batch(HANG)
    cron().wait_for("the refresh starts")
    second = cron(*arguments)
    assert second.wait() == 1
    assert re.fullmatch(r"var/cron/LOCK: another .* is running; stop .*\n", second.log())


def test_a_path_that_cannot_be_made(tmp_path, cron):
    """Where var/cron cannot be made, one line says so."""
    (tmp_path / "var").touch()
    refused = cron("--once")
    assert refused.wait() == 1
    assert re.fullmatch(r"var/cron: cannot be written to: .*\n", refused.log())


def test_a_bad_setting_exits_1(tmp_path, cron):
    """A setting out of range is one line on standard error."""
    (tmp_path / "marquee.toml").write_text('[cron]\nat = "25:00"\n')
    refused = cron()
    assert refused.wait() == 1
    assert re.fullmatch(r"marquee.toml: \[cron\] at must be .* not '25:00'; .*\n", refused.log())


def test_usage_exits_2(cron):
    """An argument that nobody knows is an error of usage."""
    assert cron("--twice").wait() == 2


def test_a_log_line_begins_with_the_time(cron, stand_in_batch):
    """Each event is one line, and begins with its time as in ISO 8601."""
    stand_in_batch("")
    once = cron("--once")
    assert once.wait() == 0
    for line in once.log().splitlines():
        assert datetime.fromisoformat(line.split()[0]).tzinfo is not None
