"""Gauges of the scheduler: each state of a job, open alarms, and a port that answers."""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from urllib.request import urlopen

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.harness.servers import free_port
from cron.alarms import Alarms, Condition
from cron.jobs import Job
from cron.metrics import SchedulerMetrics
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from store.stop import StopRequest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def figures(text):
    """Return the values of a text of Prometheus by name of the gauge and of the job."""
    return {
        (sample.name.removeprefix("marquee_cron_"), sample.labels["name"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Watched:
    """A scheduler at noon, its alarms and its gauges."""

    def __init__(self, folder, *jobs):
        self.now = NOON
        settings = CronSettings(path=str(folder), timezone="UTC", log_dir=str(folder / "log"))
        by_name, stop = {job.name: job for job in jobs}, StopRequest()
        self.scheduler = Scheduler(settings, by_name, folder, stop, clock=lambda: self.now)
        self.alarms = Alarms(folder / "ALARMS")
        self._metrics = SchedulerMetrics(self.scheduler, settings, self.alarms, lambda: self.now)

    def read(self):
        return figures(generate_latest(self._metrics.registry).decode())


def test_gauges_follow_the_runs_of_each_job(tmp_path):
    """A success, and a failure that pauses; a job that is off has no gauges."""
    fail = (sys.executable, "-c", "raise SystemExit(7)")
    watched = Watched(
        tmp_path,
        Job(("true",), at="11:00", name="good"),
        Job(fail, at="11:00", retries=1, name="bad"),
        Job(("true",), at="11:00", enabled=False, name="off"),
    )
    before = watched.read()
    assert ("last_success_seconds", "good") not in before
    watched.scheduler.step()
    watched.scheduler.wait()
    after = watched.read()
    assert after["last_success_seconds", "good"] == NOON.timestamp()
    assert (after["exit_status", "good"], after["failures", "good"]) == (0, 0)
    assert (after["exit_status", "bad"], after["failures", "bad"]) == (7, 1)
    assert after["duration_seconds", "bad"] > 0
    assert ("last_success_seconds", "bad") not in after
    assert after["next_run_seconds", "good"] == (NOON + 23 * HOUR).timestamp()
    assert after["next_run_seconds", "bad"] == (NOON + HOUR / 2).timestamp()
    assert not any(name == "off" for _, name in {*before, *after})
    watched.now += HOUR
    watched.scheduler.step()
    watched.scheduler.wait()
    assert watched.read()["failures", "bad"] == 2


def test_a_job_that_waits_is_due_in_the_past(tmp_path):
    """Since the start of the scheduler at most, then since its time; while it runs it is not."""
    os.mkfifo(tmp_path / "end")
    job = Job(("sh", "-c", f"read line < {tmp_path}/end"), at="11:00", name="long")
    watched = Watched(tmp_path, job)
    watched.now += HOUR
    waiting = watched.read()
    assert (waiting["running", "long"], waiting["next_run_seconds", "long"]) == (
        0, NOON.timestamp(),
    )  # fmt: skip
    watched.scheduler.step()
    running = watched.read()
    assert running["running", "long"] == 1
    assert ("next_run_seconds", "long") not in running
    (tmp_path / "end").write_text("now\n")
    watched.scheduler.wait()
    watched.now += 24 * HOUR
    assert watched.read()["next_run_seconds", "long"] == (NOON + 23 * HOUR).timestamp()


def test_open_alarms_have_their_level(tmp_path):
    """An alarm that is over has none, though its last message is not sent yet."""
    watched = Watched(tmp_path)
    watched.alarms.update([Condition("disk", 2), Condition("gate", 1)], NOON)
    watched.alarms.sent(watched.alarms.messages(is_quiet=False))
    watched.alarms.update([Condition("gate", 0)], NOON)
    assert watched.read() == {("alarm_level", "disk"): 2}


def test_a_scheduler_answers_prometheus_on_its_port(tmp_path, cron):
    """A second one on the same port ends, and names the setting."""
    port = free_port()
    table = "[cron.jobs.refresh]\nenabled = false\n[cron.jobs.idle]\ncommand = ['true']\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(
            f"[cron]\npath = '{tmp_path / name}'\nmetrics_port = {port}\n{table}"
        )
    scheduler = cron("--config", "one.toml")
    scheduler.wait_for("scheduler started")
    with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        found = figures(response.read().decode())
    assert found["running", "idle"] == 0
    second = cron("--config", "two.toml")
    assert second.wait() == 1
    assert f"127.0.0.1:{port}: cannot be opened: Address already in use" in second.log()
    assert "set another metrics_port in [cron]" in second.log()
    scheduler.process.send_signal(signal.SIGTERM)
    assert scheduler.wait() == 0
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{port}/metrics")
