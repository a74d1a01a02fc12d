"""The verb `status`: replicas by their reports, as a table, JSON and metrics."""

import json
import re

import pytest

from store.pull import pull
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from tests.store.replicas import KEEP_ALL, push_to

METRIC = re.compile(r'[a-z_]+(\{replica="[\w.-]+"\})? \d+(\.\d+)?(e[+-]\d+)?')


@pytest.fixture
def status(command, there, tmp_path):
    """Run `status`; `a` serves generation 2, `b` generation 1, and `c` has never reported."""
    (tmp_path / "marquee.toml").write_text('[replica]\nbarrier = ["a", "b", "c"]\n')
    return lambda *options: command("status", there, *options)


@pytest.fixture
def fleet(two, there, tmp_path):
    for name, generation in (("b", 1), ("a", 2)):
        push_to(there, two, generation)
        pull(tmp_path / name, Remote(str(there)), KEEP_ALL, ReplicaSettings(name))


def test_a_replica_that_is_behind_is_shown(fleet, status):
    """The exit status is 1."""
    done = status()
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"generation 2 is current, published \d+ s ago; replicas: 3", lines[0])
    assert lines[1].split("  ")[0] == "replica"
    assert re.fullmatch(r"a +2 +2 +0 s +\d+ s +ok", lines[2])
    assert re.fullmatch(r"b +1 +1 +\d+ s +\d+ s +behind", lines[3])
    assert re.fullmatch(r"c +- +- +\d+ s +- +never reported", lines[4])


def test_json_and_metrics_say_the_same(fleet, status):
    document = json.loads(status("--json").stdout)
    by_name = {entry["replica"]: entry for entry in document["replicas"]}
    assert document["current"] == 2
    assert [by_name[name]["generation"] for name in "abc"] == [2, 1, None]
    assert by_name["a"]["lag_seconds"] == 0 < by_name["b"]["lag_seconds"]
    lines = status("--metrics").stdout.splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(METRIC.fullmatch(line) for line in samples)
    assert "marquee_published_generation 2" in samples
    assert 'marquee_replica_generation{replica="b"} 1' in samples
    assert 'marquee_replica_generation{replica="c"} 0' in samples
    assert not any(
        line.startswith('marquee_replica_report_age_seconds{replica="c"') for line in lines
    )


def test_all_that_serve_the_current_generation_are_0(fleet, two, there, command, tmp_path):
    """A replica that no longer exists is removed first."""
    assert command("status", there, "--remove", "b").returncode == 0
    assert "ok" in command("status", there).stdout
    done = command("status", there, "--remove", "b")
    assert done.returncode == 1
    assert "has no report of 'b'" in done.stderr
    done = command("status", there, "--remove", "../CURRENT")
    assert "has no report of '../CURRENT'" in done.stderr


def test_the_error_of_a_pull_is_shown(fleet, there, command, python, tmp_path):
    (there / "snapshots/000002/SHA256SUMS").unlink()
    node = tmp_path / "b"
    done = python(
        "-m", "store", "--store", node, "pull", there, environ={"MARQUEE_REPLICA_NAME": "b"}
    )
    assert done.returncode == 1
    assert "is not complete; run `push` to it again" in command("status", there).stdout


def test_a_remote_without_a_push_is_1(status):
    done = status()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nothing has been pushed there yet" in done.stderr
