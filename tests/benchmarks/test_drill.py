"""Drills: a failure in a running service leaves its time line in a postmortem."""

import os
import re

import pytest

from benchmarks.drill import watcher
from benchmarks.drill.__main__ import DRILLS, main
from benchmarks.drill.demo import Impact
from benchmarks.drill.postmortem import DrillResult, write_postmortem
from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.drill.watcher import Watcher
from benchmarks.harness.processes import wait_until
from benchmarks.harness.servers import Address
from benchmarks.nights.outside import Inbox

_QUICK = "takedown-request"
_CAMPAIGN = pytest.mark.skipif(
    "DRILL_CAMPAIGN" not in os.environ, reason="takes minutes: .ci/campaigns drills"
)
_LOST = "lost-machine"  # the one in which clients lose their server


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [_QUICK, *(pytest.param(name, marks=_CAMPAIGN) for name in DRILLS if name != _QUICK)]
)
def test_a_drill_recovers_and_writes_its_postmortem(tmp_path, name):
    """Failure, alarm, action and recovery follow each other; clients lose nothing but a machine."""
    assert main([name, "--out", str(tmp_path)]) == 0
    [path] = tmp_path.iterdir()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d-{name}\.md", path.name)
    kinds = re.findall(r"^\| \d+\.\d +\| \S+ +\| (\w+)", path.read_text(), re.MULTILINE)
    assert list(dict.fromkeys(kinds)) == list(Kind)
    n_failed, n_requests = re.findall(r"\| ([\d,]+) \| ([\d,]+) \|$", path.read_text(), re.M)[0]
    assert int(n_requests.replace(",", "")) > 0
    assert name == _LOST or n_failed == "0"


def test_the_names_are_listed(capsys):
    """With a sentence each."""
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DRILLS)
    assert all(line.endswith(".") for line in lines)


def test_a_drill_without_a_name_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "name a drill" in capsys.readouterr().err


@pytest.mark.parametrize("is_recovered", [True, False])
def test_a_postmortem_says_whether_it_recovered(tmp_path, is_recovered):
    """Times count from the failure; the last recovery counts; nothing is added after the end."""
    timeline = Timeline()
    timeline.record(Kind.FAILURE, "the disk is full")
    timeline.record(Kind.ALARM, "message: disk | 3 MiB")
    if is_recovered:
        timeline.record(Kind.RECOVERY, "message: disk over")
    timeline.end()
    timeline.record(Kind.ALARM, "the server is stopped")
    text = write_postmortem(
        DrillResult("disk-full", "A full disk.", timeline, Impact(7, 2)), tmp_path
    ).read_text()
    assert f"| 0.0 s | never | {'0.0 s' if is_recovered else 'never'} | 2 | 7 |" in text
    assert "- message: disk | 3 MiB\n" in text
    assert "stopped" not in text


def test_the_watcher_records_messages_and_the_health(monkeypatch):
    """Each change once, as an alarm or as a recovery."""
    timeline, health = Timeline(), ["ok"]
    monkeypatch.setattr(watcher, "read_health", lambda _: health[0])
    with Inbox() as inbox, Watcher(timeline, inbox, Address("127.0.0.1", 1)):
        health[0] = "no answer"
        wait_until(lambda: len(timeline.entries()) == 1)
        health[0] = "ok"
        wait_until(lambda: len(timeline.entries()) == 2)
        inbox.texts += ["disk: full", "disk over: since"]
        wait_until(lambda: len(timeline.entries()) == 4)
    assert [(one.kind, one.text) for one in timeline.entries()] == [
        (Kind.ALARM, "healthz: no answer"),
        (Kind.RECOVERY, "healthz: ok"),
        (Kind.ALARM, "message: disk: full"),
        (Kind.RECOVERY, "message: disk over: since"),
    ]
