"""The commands `push` and `pull`: output, options, missing extras, --watch."""

import signal
import subprocess
import sys
import tempfile
import time

import pytest

from store.__main__ import main
from store.pointer import current_or_none
from store.takedown import take_down, takedowns
from tests.store.conftest import ROOT
from tests.store.replicas import (
    push_to,
)

TIMEOUT_SECONDS = 60


def test_output_of_push_and_pull(two, there, node, command, python):
    """One line, or a JSON object."""
    done = command("push", there)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("generation 2 is current there; ")
    done = python("-m", "store", "--store", node, "pull", there, "--json")
    assert (
        done.stdout
        == '{"generation": 2, "is_current": true, "has_changed": true, "waiting_for": []}\n'
    )
    done = python("-m", "store", "--store", node, "pull", there)
    assert done.stdout == "generation 2 is current, unchanged\n"


def test_pull_from_an_empty_remote_is_1(there, node, python):
    """The store is not created."""
    done = python("-m", "store", "--store", node, "pull", there)
    assert done.returncode == 1
    assert "nothing has been pushed there yet" in done.stderr
    assert not node.exists()


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_an_unsupported_protocol_is_1(two, command, verb):
    """One line that names the protocol."""
    done = command(verb, "gopher://host/marquee")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "gopher" in done.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_watch_requires_a_positive_time(two, there, command, seconds):
    """Other values are wrong usage."""
    assert command("pull", there, f"--watch={seconds}").returncode == 2


WITHOUT_MODULES = """
import sys
sys.modules |= dict.fromkeys(sys.argv[1].split(","))
from store.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("missing", "url"),
    [("fsspec,fsspec.core", "/anywhere"), ("s3fs", "s3://b/m"), ("aiohttp", "http://host/m")],
)
@pytest.mark.parametrize("arguments", [["pull"], ["pull", "--watch=1"]])
def test_a_missing_extra_is_named(two, python, missing, url, arguments):
    """One line, also with --watch."""
    done = python("-c", WITHOUT_MODULES, missing, "--store", two, *arguments, url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "install the extra `replica`: pip install" in done.stderr


def test_the_message_of_missing_temporary_files_does_not_blame_the_remote(
    two, there, tmp_path, monkeypatch, capsys
):
    """A container may have a read-only root; with a directory in TMPDIR the push works."""
    folder = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(folder))  # what TMPDIR sets
    for verb in ("push", "pull", "status"):
        assert main(["--store", str(two), verb, str(there)]) == 1
        error = capsys.readouterr().err
        assert "temporary files: no directory for them can be written to: No such file" in error
        assert "set TMPDIR" in error
        assert str(there) not in error
    folder.mkdir()
    assert main(["--store", str(two), "push", str(there)]) == 0
    assert [*folder.iterdir()] == []


def test_other_verbs_work_without_fsspec(two, python):
    """`ls` works without the extra."""
    done = python("-c", WITHOUT_MODULES, "fsspec,fsspec.core,s3fs,aiohttp", "--store", two, "ls")
    assert done.returncode == 0


@pytest.fixture
def watching(there, node, tmp_path):
    """Start `pull --watch` with its log in a file."""
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "store", "--store", node, "pull", there, "--watch", "0.05"],
            cwd=ROOT,
            stderr=file,
        )
    yield process, log
    process.kill()
    process.wait()


def wait_until(is_true):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_watch_pulls_what_is_published(two, there, node, watching):
    """It waits for the first push, survives a missing remote, and ends at SIGTERM."""
    process, log = watching
    missing = "nothing has been pushed there yet"
    wait_until(lambda: missing in log.read_text())
    push_to(there, two, 1)
    wait_until(lambda: current_or_none(node) == 1)
    away = there.rename(there.with_name("away"))
    wait_until(lambda: log.read_text().count(missing) == 2)
    away.rename(there)
    push_to(there, two)
    wait_until(lambda: current_or_none(node) == 2)
    take_down(two, ["c"], "rights ended")
    push_to(there, two)
    wait_until(lambda: list(takedowns(node)) == ["c"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_SECONDS) == 0
    lines = log.read_text()
    assert "Traceback" not in lines
    assert lines.count(missing) == 2  # equal lines are logged once, not at every poll
    assert "generation 2 of" in lines
