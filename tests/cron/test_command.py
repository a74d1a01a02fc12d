"""`python -m cron` as a process: exit statuses, log lines, state file."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cron.state import JobState, read_state, write_state
from serve.pages.jobs import jobs

ROOT = Path(__file__).parents[2]
SUCCEED = "import sys; print('batch got', *sys.argv[1:])"
LEAVE_GRANDCHILDREN = """
import os, pathlib, subprocess, sys, time
for name, apart in (("same-group", False), ("other-group", True)):
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    grandchild = subprocess.Popen(command, start_new_session=apart)
    pathlib.Path(name).write_text(f"{grandchild.pid}\\n")
pathlib.Path("pid").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""
HANG = """
import os, pathlib, time
pathlib.Path("pid").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""


@pytest.fixture
def state_file(tmp_path):
    return tmp_path / "var" / "cron" / "refresh.json"


def page(folder, later=timedelta(0)):
    """Return what the server's page shows of the scheduler."""
    return jobs(folder / "var" / "cron", datetime.now(UTC) + later, is_operator=False)


def test_a_failing_refresh_leaves_the_scheduler_running(
    tmp_path, cron, state_file, fake_batch, wait_until
):
    """It is logged with its last line, recorded, the scheduler is alive, and SIGTERM exits 0."""
    fake_batch("raise SystemExit('no events')")
    (tmp_path / "night.toml").touch()
    scheduler = cron("--config", "night.toml")
    scheduler.wait_for("ERROR refresh failed")
    wait_until(lambda: "failed last: refresh." in page(tmp_path)["summary"])
    scheduler.process.send_signal(signal.SIGTERM)
    assert scheduler.wait() == 0
    assert "-m batch refresh --config night.toml" in scheduler.log()
    assert "exit status 1: no events" in scheduler.log()
    assert json.loads(state_file.read_text())["last_success"] is None
    assert read_state(state_file).last_failure is not None
    shown = page(tmp_path, timedelta(hours=1))
    row = next(row for row in shown["jobs"] if row["name"] == "refresh")
    assert (row["result"], row["n_failures"]) == ("failed", 1)
    assert row["next"] > row["began"]
    assert shown["summary"] == "The scheduler was stopped."


def test_nothing_runs_after_tonights_success(tmp_path, cron, state_file, wait_until):
    """A scheduler that starts after tonight's success runs nothing; SIGINT exits 0."""
    state_file.parent.mkdir(parents=True)
    write_state(state_file, JobState(last_success=datetime.now(UTC)))
    two_hours_ago = (datetime.now(UTC) - timedelta(hours=2)).strftime("%H:%M")
    settings = f'[cron]\nat = "{two_hours_ago}"\ntimezone = "UTC"\n'
    (tmp_path / "marquee.toml").write_text(settings)
    assert page(tmp_path)["summary"] == "No scheduler has run here."
    scheduler = cron()
    scheduler.wait_for("refresh daily at")
    wait_until(lambda: page(tmp_path)["jobs"])
    assert page(tmp_path)["summary"] == "The scheduler is running; no job failed last."
    silent = page(tmp_path, timedelta(hours=1))
    assert (silent["alarm"], silent["summary"][-7:]) == (True, "60 min.")
    scheduler.process.send_signal(signal.SIGINT)
    assert scheduler.wait() == 0
    assert "refresh started" not in scheduler.log()


def test_a_damaged_state_file_is_logged(cron, state_file, fake_batch):
    """The scheduler logs that it cannot read its state, and runs the refresh."""
    fake_batch(SUCCEED)
    state_file.parent.mkdir(parents=True)
    state_file.write_text("{")
    scheduler = cron()
    scheduler.wait_for("refresh succeeded")
    assert "var/cron/refresh.json: unreadable" in scheduler.log()


def test_run_runs_a_refresh_that_is_not_due(cron, state_file, fake_batch):
    """`run refresh` runs the refresh although tonight's ran, records it and exits 0."""
    fake_batch(SUCCEED)
    state_file.parent.mkdir(parents=True)
    before = JobState(last_success=datetime.now(UTC) - timedelta(seconds=5))
    write_state(state_file, before)
    once = cron("run", "refresh")
    assert once.wait() == 0
    assert "batch got refresh\n" in once.log()
    after = read_state(state_file).last_success
    assert after is not None
    assert before.last_success is not None
    assert after > before.last_success


def test_run_that_fails_exits_1(cron, state_file, fake_batch):
    """`run refresh` exits 1 after a refresh that failed, and records that."""
    fake_batch("raise SystemExit(2)")
    once = cron("run", "refresh")
    assert once.wait() == 1
    assert "refresh failed" in once.log()
    assert read_state(state_file).last_failure is not None


def test_run_that_the_gate_refuses_exits_3(cron, fake_batch):
    """The exit status of `python -m batch refresh` is kept for scripts."""
    fake_batch("raise SystemExit(3)")
    assert cron("run", "refresh").wait() == 3


@pytest.mark.parametrize("n", ["-1", "x"])
def test_the_number_of_runs_of_the_history_is_checked(cron, n):
    """A negative one is a usage error."""
    assert cron("history", "-n", n).wait() == 2


def test_status_is_true_while_a_job_runs_and_after_it_was_killed(
    tmp_path, cron, fake_batch, number_in, wait_until, is_alive
):
    """A run by hand is running, then interrupted; the JSON says the same as the table."""
    fake_batch(HANG)
    once = cron("run", "refresh")
    child = number_in("pid")

    def status(*options):
        done = subprocess.run(
            [sys.executable, "-m", "cron", "status", *options], cwd=tmp_path, check=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    assert re.search("refresh  running", status())
    found = json.loads(status("--json"))["refresh"]
    assert (found["is_running"], found["ending"]) == (True, None)
    assert datetime.fromisoformat(found["next"]) > datetime.now(UTC)
    once.process.kill()
    wait_until(lambda: not is_alive(child))
    once.wait()
    assert re.search("refresh  interrupted", status())
    found = json.loads(status("--json"))["refresh"]
    assert (found["is_running"], found["ending"]) == (False, "interrupted")


def test_run_times_out(tmp_path, cron, fake_batch, number_in, is_alive):
    """A refresh that hangs is ended at the time-out of the settings."""
    fake_batch(HANG)
    (tmp_path / "marquee.toml").write_text("[cron]\ntimeout_minutes = 0.05\n")
    once = cron("run", "refresh")
    assert once.wait() == 1
    assert "refresh timed out" in once.log()
    assert not is_alive(number_in("pid"))


def test_sigterm_in_mid_run(cron, fake_batch, number_in, is_alive, state_file):
    """SIGTERM in the middle of a refresh ends both, with exit 0; that is no failure."""
    fake_batch(HANG)
    scheduler = cron()
    child = number_in("pid")
    scheduler.process.send_signal(signal.SIGTERM)
    assert scheduler.wait() == 0
    assert not is_alive(child)
    state = read_state(state_file)
    assert (state.last_success, state.last_failure, state.ending) == (None, None, "stopped")


@pytest.mark.parametrize("next_command", [[], ["run", "refresh"]])
def test_sigkill_in_mid_run(cron, fake_batch, number_in, is_alive, wait_until, next_command):
    """SIGKILL of the scheduler ends its refresh; what that left is ended before the next begins."""
    fake_batch(LEAVE_GRANDCHILDREN)
    first = cron()
    child, others = number_in("pid"), [number_in("same-group"), number_in("other-group")]
    first.process.kill()
    wait_until(lambda: not is_alive(child))
    assert [is_alive(pid) for pid in others] == [True, True]
    second = cron(*next_command)
    second.wait_for("refresh started")
    assert "refresh: 2 processes that a run had left were killed" in second.log()
    assert [is_alive(pid) for pid in others] == [False, False]
    wait_until(lambda: number_in("pid") != child)
    second.process.send_signal(signal.SIGTERM)
    second.wait()
    others = [number_in("same-group"), number_in("other-group")]
    assert [is_alive(pid) for pid in others] == [False, False]


def test_a_second_instance_is_refused(cron, fake_batch):
    """A second instance exits 1; the message names the lock and the remedy."""
    fake_batch(HANG)
    cron().wait_for("refresh started")
    second = cron()
    assert second.wait() == 1
    assert re.fullmatch(r"var/cron/LOCK: another .* is running; stop .*\n", second.log())


def test_a_path_that_cannot_be_made(tmp_path, cron):
    """Where var/cron cannot be made, one line says so."""
    (tmp_path / "var").touch()
    refused = cron("run", "refresh")
    assert refused.wait() == 1
    assert re.fullmatch(r"var/cron: cannot be written to: .*\n", refused.log())


def test_a_bad_setting_exits_1(tmp_path, cron):
    """A setting out of range is one line on standard error."""
    (tmp_path / "marquee.toml").write_text('[cron]\nat = "25:00"\n')
    refused = cron()
    assert refused.wait() == 1
    assert re.fullmatch(r"marquee.toml: \[cron\] at must be .* not '25:00'; .*\n", refused.log())


def test_usage_exits_2(cron):
    """An unknown argument is a usage error."""
    assert cron("--twice").wait() == 2


def test_a_log_line_begins_with_the_time(cron, fake_batch):
    """Each event is one line, and begins with its time as in ISO 8601."""
    fake_batch("")
    once = cron("run", "refresh")
    assert once.wait() == 0
    for line in once.log().splitlines():
        assert datetime.fromisoformat(line.split()[0]).tzinfo is not None
