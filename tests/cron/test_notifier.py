"""Alarms: sent once, again when worse, once when over; sent by real processes and Apprise."""

import http.server
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from cron.alarms import Alarms, Condition
from cron.child import Ending
from cron.conditions import conditions
from cron.errors import CronError
from cron.jobs import Job
from cron.notifier import Notifier
from cron.notify import TEST, NotifySettings, encoded, send
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import JobState
from cron.store_conditions import store_conditions
from store.arms import promote_arm, start_experiment, stop_experiment
from store.layout import MANIFEST, snapshot_folder
from store.stop import StopRequest
from tests.experiments import experiment_of, make_arm
from tests.snapshots import make_snapshot

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def posted():
    """Yield the address of a web server, and what is posted to it or asked of it."""
    got: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["Content-Length"])
            got.append((self.path, self.rfile.read(length).decode()))
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            got.append((self.path, ""))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


def sent(alarms, level, *, is_quiet=False, text="bad"):
    """Record a level, send the messages that are due, and return their levels."""
    alarms.update([Condition("disk", level, text)], NOW)
    messages = alarms.messages(is_quiet=is_quiet)
    alarms.sent(messages)
    return [message.level for message in messages]


def test_a_message_is_sent_once_again_when_worse_and_once_when_over(tmp_path):
    """A level that falls and comes back causes no message; a restart changes nothing."""
    file = tmp_path / "ALARMS"
    levels = [0, 1, 1, 2, 1, 2, 0, 0, 1, 0]
    found = [sent(Alarms(file), level) for level in levels]
    assert found == [[], [1], [], [2], [], [], [0], [], [1], [0]]


def test_what_is_over_before_the_quiet_hours_end_causes_no_message(tmp_path):
    """Urgent messages are sent, others wait; the end is a message only after one that was sent."""
    alarms = Alarms(tmp_path / "ALARMS")
    assert sent(alarms, 1, is_quiet=True) == []
    assert sent(alarms, 0, is_quiet=True) == []
    assert sent(alarms, 0) == []
    assert sent(alarms, 2, is_quiet=True) == [2]
    assert sent(alarms, 0, is_quiet=True) == []
    assert sent(alarms, 0) == [0]


def test_an_unsent_message_is_sent_later(tmp_path):
    """In the next process too; a damaged file is logged."""
    alarms = Alarms(tmp_path / "ALARMS")
    alarms.update([Condition("disk", 1, "full")], NOW)
    assert [m.text for m in Alarms(tmp_path / "ALARMS").messages(is_quiet=False)] == ["full"]
    (tmp_path / "ALARMS").write_text('{"disk": {"lev')
    assert Alarms(tmp_path / "ALARMS").messages(is_quiet=False) == []


def test_the_alarm_of_a_removed_job_is_over(tmp_path, wait_until, monkeypatch):
    """So are those of a refresh that is switched off and of a process no longer looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    alarms = Alarms(tmp_path / "ALARMS")
    names = ["job backup", "old lists", "lag of 10.0.0.1:9102", "certificate of old.example.org"]
    alarms.update([Condition(name, 1, "bad") for name in [*names, "disk"]], NOW)
    alarms.sent(alarms.messages(is_quiet=False))
    command = ("sh", "-c", 'echo "$MARQUEE_ALARM_NAME $MARQUEE_ALARM_LEVEL" >> sent')
    notify = NotifySettings(command=command, min_free_mib=1e12)
    scheduler, notifier, _ = scheduler_of(tmp_path, Job(("true",), name="idle"), notify)
    run_night(scheduler, notifier, wait_until)
    run_night(scheduler, notifier, wait_until)
    sent = (tmp_path / "sent").read_text().splitlines()
    assert sorted(sent) == sorted([*(f"{name} 0" for name in names), "disk 2"])
    assert json.loads((tmp_path / "ALARMS").read_text()).keys() == {"disk"}


@pytest.mark.parametrize(
    ("local", "is_quiet"), [("21:59", False), ("22:00", True), ("03:00", True), ("07:00", False)]
)
def test_quiet_hours_pass_midnight(local, is_quiet):
    """From the first time on, and until the second."""
    settings = NotifySettings(quiet_from="22:00", quiet_until="07:00")
    assert settings.is_quiet(time.fromisoformat(local)) is is_quiet
    assert not NotifySettings().is_quiet(time.fromisoformat(local))


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


def scheduler_of(tmp_path, job, notify):
    cron = CronSettings(path=str(tmp_path), timezone="UTC", log_dir=str(tmp_path / "log"))
    (tmp_path / "marquee.toml").write_text(
        f'[cron]\npath = "{tmp_path}"\n[notify]\nurls = {json.dumps(list(notify.urls))}\n'
        f"command = {json.dumps(list(notify.command))}\n"
        f'[cron.jobs.{job.name}]\nheartbeat_url = "{job.heartbeat_url}"\ncommand = ["true"]\n'
    )
    notifier = Notifier(cron, notify, tmp_path, tmp_path / "marquee.toml")
    clock = Clock()
    jobs = {job.name: job}
    return Scheduler(cron, jobs, tmp_path, StopRequest(), notifier, clock), notifier, clock


def run_night(scheduler, notifier, wait_until):
    scheduler.step()
    scheduler.wait()
    scheduler.step()
    wait_until(lambda: not notifier.is_busy())


def test_a_job_that_fails_causes_messages_by_apprise_and_its_recovery_too(
    tmp_path, posted, wait_until, monkeypatch
):
    """One message after the retries with the reason, none the next night, one when it is well."""
    pytest.importorskip("apprise")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    address, got = posted
    up = str(tmp_path / "up")
    code = f"import os; raise SystemExit(0 if os.path.exists({up!r}) else 'the API is gone')"
    job = Job((sys.executable, "-c", code), at="03:30", retries=1, name="fetch")
    notify = NotifySettings(urls=(f"json://{address}/hook",))
    scheduler, notifier, clock = scheduler_of(tmp_path, job, notify)
    for _ in range(3):
        run_night(scheduler, notifier, wait_until)
        clock.now += timedelta(hours=1)
    clock.now += timedelta(days=1)
    run_night(scheduler, notifier, wait_until)
    assert len(got) == 1
    path, body = got[0]
    assert path == "/hook"
    assert json.loads(body)["title"] == "Marquee: job fetch"
    assert "the API is gone" in json.loads(body)["message"]
    (tmp_path / "up").touch()
    clock.now += timedelta(days=1)
    run_night(scheduler, notifier, wait_until)
    assert [json.loads(body)["title"] for _, body in got] == [
        "Marquee: job fetch", "Marquee: job fetch is over",
    ]  # fmt: skip


def test_a_job_that_is_due_again_when_it_ends_causes_both_messages(
    tmp_path, wait_until, monkeypatch
):
    """How it ended counts before its next run begins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    job = Job(("test", "-e", "up"), every_minutes=1.0, name="report")
    command = ("sh", "-c", 'echo "$MARQUEE_ALARM_NAME $MARQUEE_ALARM_LEVEL" >> sent')
    notify = NotifySettings(command=command, min_free_mib=0.001)
    scheduler, notifier, clock = scheduler_of(tmp_path, job, notify)
    for file in ("up", "down", "up"):
        (tmp_path / file).touch()
        if file == "down":
            (tmp_path / "up").unlink()
        scheduler.step()
        scheduler.wait()
        clock.now += timedelta(minutes=2)
        wait_until(lambda: not notifier.is_busy())
    run_night(scheduler, notifier, wait_until)
    assert (tmp_path / "sent").read_text() == "job report 1\njob report 0\n"


def test_a_command_gets_messages_and_a_success_calls_the_dead_mans_switch(
    tmp_path, posted, wait_until, monkeypatch
):
    """The command has name, level and text in its environment; the URL is called once a success."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    address, got = posted
    job = Job(("true",), at="03:30", name="refresh", heartbeat_url=f"http://{address}/alive")
    command = ("sh", "-c", 'echo "$MARQUEE_ALARM_NAME $MARQUEE_ALARM_LEVEL" >> sent')
    notify = NotifySettings(command=command, min_free_mib=1e12)
    scheduler, notifier, clock = scheduler_of(tmp_path, job, notify)
    for _ in range(2):
        run_night(scheduler, notifier, wait_until)
        clock.now += timedelta(days=1)
    assert got == [("/alive", "")] * 2
    assert (tmp_path / "sent").read_text() == "disk 2\n"


def test_a_refusing_gate_and_old_lists_are_conditions(tmp_path):
    """A refusal is one by itself; a refresh that has not succeeded for long is one by its age."""
    jobs = {"refresh": Job(("true",), at="03:30", name="refresh")}

    def levels(state):
        settings = CronSettings(), NotifySettings(min_free_mib=0.001)
        found = conditions(jobs, {"refresh": state}, settings, tmp_path, NOW)
        return {one.name: one.level for one in found if one.level}

    fresh = JobState(last_success=NOW - timedelta(hours=9))
    assert levels(fresh) == {}
    refused = JobState(NOW - timedelta(hours=9), ending=Ending.REFUSED, began=NOW)
    assert levels(refused) == {"gate": 1}
    assert levels(JobState(last_success=NOW - timedelta(hours=40))) == {"old lists": 1}
    assert levels(JobState(last_success=NOW - timedelta(hours=80))) == {"old lists": 2}


@pytest.mark.parametrize(
    ("verb", "why", "level"),
    [("stop", "guardrail: treatment loses more than 0.1 of rating", 1),
     ("stop", "check: treatment is worse", 0), ("promote", "guardrail: it is not", 0)],
)  # fmt: skip
def test_an_experiment_stopped_by_a_guardrail_is_a_condition(tmp_path, verb, why, level):
    """For a day, and until another one starts; one that ended otherwise is none."""
    arms = make_arm(tmp_path, "c", flip=True), make_arm(tmp_path, "t")
    start_experiment(tmp_path, experiment_of(*arms), "is it better?")
    if verb == "stop":
        stop_experiment(tmp_path, why)
    else:
        promote_arm(tmp_path, "treatment", why)
    now = datetime.now(UTC)

    def found(at):
        return {one.name: one for one in store_conditions(tmp_path, at)}

    assert found(now)["experiment"].level == level
    assert not level or why in found(now)["experiment"].text
    assert found(now + timedelta(hours=25))["experiment"].level == 0
    if verb == "stop":
        start_experiment(tmp_path, experiment_of(*arms), "once more")
        assert found(now)["experiment"].level == 0


def test_suspects_of_the_served_lists_are_told_once_when_worse_and_when_over(
    tmp_path, wait_until, monkeypatch
):
    """The manifest of the current generation counts; one that cannot be read is a condition."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = ("sh", "-c", 'echo "$MARQUEE_ALARM_NAME $MARQUEE_ALARM_LEVEL" >> sent')
    notify = NotifySettings(command=command, min_free_mib=0.001)
    scheduler, notifier, clock = scheduler_of(tmp_path, Job(("true",), name="idle"), notify)

    def sent_with(n_suspects):
        suspects = [{"item": f"i{number}"} for number in range(n_suspects)]
        make_snapshot(tmp_path, {}, ["a"], parameters={"trust": {"suspects": suspects}})
        (tmp_path / "sent").write_text("")
        for _ in range(2):
            run_night(scheduler, notifier, wait_until)
            clock.now += timedelta(minutes=1)
        return (tmp_path / "sent").read_text().splitlines()

    found = [sent_with(n_suspects) for n_suspects in (0, 1, 2, 11, 0)]
    assert found == [[], ["attack 1"], [], ["attack 2"], ["attack 0"]]
    assert [one.name for one in store_conditions(tmp_path, NOW) if one.level] == []
    (snapshot_folder(tmp_path, 5) / MANIFEST).write_text("{")
    assert [one.name for one in store_conditions(tmp_path, NOW) if one.level] == ["store"]


@pytest.mark.parametrize("minutes", [1.0, 1440.0])
def test_a_failed_job_is_a_condition_unless_a_retry_follows(tmp_path, minutes):
    """One that runs every minute has its first failure told; a daily one is tried again first."""
    jobs = {"report": Job(("true",), every_minutes=minutes, name="report")}
    state = JobState(None, NOW, 1, began=NOW, ending=Ending.FAILED, status=1)
    settings = CronSettings(log_dir=str(tmp_path)), NotifySettings(min_free_mib=0.001)
    found = conditions(jobs, {"report": state}, settings, tmp_path, NOW)
    assert [one.level for one in found if one.name == "job report"] == [1] * (minutes == 1.0)


@pytest.mark.parametrize("ending", [None, Ending.SUCCEEDED])
def test_a_refusal_is_over_after_the_next_success_not_at_the_next_begin(tmp_path, ending):
    """While the next run is open, the gate is neither well nor not."""
    jobs = {"refresh": Job(("true",), at="03:30", name="refresh")}
    state = JobState(NOW, began=NOW, ending=ending)
    settings = CronSettings(), NotifySettings(min_free_mib=0.001)
    found = conditions(jobs, {"refresh": state}, settings, tmp_path, NOW)
    assert [one.level for one in found if one.name == "gate"] == ([0] if ending else [])


def test_a_message_that_one_receiver_accepts_is_sent(tmp_path, posted, cron):
    """A test fails if one of two receivers does; a message of the scheduler if both do."""
    pytest.importorskip("apprise")
    address, got = posted
    (tmp_path / "marquee.toml").write_text(
        f'[notify]\nurls = ["nonsense://secret@host", "json://{address}/hook"]\n'
    )
    test = cron("notify", "--test")
    assert test.wait() == 1
    assert "[notify] URL 1: is not a valid Apprise URL" in test.log()
    assert "secret" not in test.log()
    assert [json.loads(body)["title"] for _, body in got] == ["Marquee: test"]
    sent = subprocess.run(
        [sys.executable, "-m", "cron", "notify"], cwd=tmp_path, input=encoded([TEST]),
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert sent.returncode == 0
    assert len(got) == 2
    with pytest.raises(CronError, match="exit status 1"):
        send(NotifySettings(command=("false",)), [TEST])


def test_an_unsent_message_is_sent_again_after_a_pause(tmp_path, wait_until, monkeypatch):
    """Not at every poll, and no more once it was sent."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = ("sh", "-c", "echo x >> tried; test -e up")
    notify = NotifySettings(command=command, min_free_mib=1e12)
    scheduler, notifier, clock = scheduler_of(tmp_path, Job(("true",), name="idle"), notify)
    n_tries = []
    for minute in range(6):
        if minute == 3:
            (tmp_path / "up").touch()
        run_night(scheduler, notifier, wait_until)
        n_tries.append(len((tmp_path / "tried").read_text().split()))
        clock.now += timedelta(seconds=30)
    assert n_tries == [1, 1, 2, 2, 3, 3]


def test_messages_without_a_receiver_are_refused(cron):
    """The error says what to set."""
    nobody = cron("notify", "--test")
    assert nobody.wait() == 1
    assert "[notify]: has no receiver; set urls" in nobody.log()
