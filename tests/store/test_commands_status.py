"""The verb `status`: replicas by their reports, as a table, JSON and metrics."""

import json
import re
from typing import NamedTuple

import pytest

from store.__main__ import main
from store.errors import ReplicaError
from store.pull import pull
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.replica_status import remove_status
from tests.store.replicas import KEEP_ALL, push_to

METRIC = re.compile(r'[a-z_]+(\{replica="[\w.-]+"\})? \d+(\.\d+)?(e[+-]\d+)?')


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def status(capsys, store, there, tmp_path):
    """Run `status` with a barrier of `a`, `b` and `c`, or of none."""

    def run(*options, barrier='["a", "b", "c"]'):
        (file := tmp_path / "marquee.toml").write_text(f"[replica]\nbarrier = {barrier}\n")
        arguments = ["--store", store, "--config", file, "status", there, *options]
        returncode = main([*map(str, arguments)])
        return Done(returncode, *capsys.readouterr())

    return run


@pytest.fixture
def fleet(two, there, tmp_path):
    """Replica `a` serves generation 2, `b` generation 1, and `c` has never reported."""
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


def test_all_that_serve_the_current_generation_are_0(fleet, status, there):
    """A replica that no longer exists is removed first."""
    assert status("--remove", "b", barrier="[]").returncode == 0
    for name in ("b", "../CURRENT"):
        with pytest.raises(ReplicaError, match="has no report of"):
            remove_status(Remote(str(there)), name)
    done = status("--remove", "a", barrier="[]")
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, [])
    assert "no replica has reported" in done.stderr


def test_the_error_of_a_pull_is_shown(fleet, status, there, tmp_path):
    (there / "snapshots/000002/SHA256SUMS").unlink()
    with pytest.raises(ReplicaError):
        pull(tmp_path / "b", Remote(str(there)), KEEP_ALL, ReplicaSettings("b"))
    assert "is not complete; run `push` to it again" in status().stdout


def test_a_remote_without_a_push_is_1(status):
    done = status()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nothing has been pushed there yet" in done.stderr
