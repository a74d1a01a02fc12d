"""Stores to break, and real processes to break them with."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.snapshots import make_snapshot

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def store(tmp_path):
    """Where a store may come to lie; nothing is there yet."""
    return tmp_path / "store"


@pytest.fixture
def two(store):
    """A store with generation 1 and its child 2, which is current."""
    make_snapshot(store, {"ann": ["a", "b"], "bob": ["c"]}, ["b", "c"], index=b"index of one")
    make_snapshot(store, {"ann": ["b", "c"], "bob": ["d"]}, ["c", "a"], index=b"index of two")
    return store


def _run(arguments, **options):
    ours = ("MARQUEE_", "PYTHON")  # a child finds the machine as its users do
    environ = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environ |= options.pop("environ", {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(arguments, env=environ, text=True, timeout=60, check=False, **options)


@pytest.fixture
def python(tmp_path):
    """Run Python in a process of its own, where no marquee.toml lies."""
    return lambda *arguments, **options: _run(
        [sys.executable, *map(str, arguments)], cwd=tmp_path, **options
    )


@pytest.fixture
def command(python, store):
    """Run `python -m store --store …` and return what came of it."""
    return lambda *arguments, **options: python(
        "-m", "store", "--store", store, *arguments, **options
    )


@pytest.fixture
def traced():
    """Run Python under strace, with options of ours."""
    path = shutil.which("strace")
    if path is None or _run([path, "-o", "/dev/null", "true"]).returncode != 0:
        pytest.skip("no fault injection: strace is not here, or may not trace")

    def run(options, *arguments):
        return _run([path, "-f", *options, sys.executable, *map(str, arguments)], cwd=ROOT)

    return run


@pytest.fixture
def strace(traced):
    """Run Python with a fault injected into one of its system calls."""

    def run(call, fault, *arguments):
        options = ["-o", "/dev/null", "-e", f"trace={call}"]
        if not fault.startswith("signal"):
            options += ["--seccomp-bpf"]  # four times as fast; but no signal ever comes with it
        return traced([*options, "-e", f"inject={call}:{fault}"], *arguments)

    return run


@pytest.fixture
def somebody():
    """Whoever runs the tests; root, who may do everything, is nobody for the time of a test."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)  # the real one too: access(2) looks at it
    yield
    os.setresuid(0, 0, 0)


@pytest.fixture
def read_only_folder():
    """A folder that `somebody` may enter, but not write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def locked_folder(read_only_folder):
    """A folder that `somebody` may not enter."""
    read_only_folder.chmod(0)
    return read_only_folder
