"""Fixtures: small stores, and processes that run against them."""

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
    """Return the path of a store that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def there(tmp_path):
    """Return the directory of a remote, which does not exist yet."""
    return tmp_path / "there"


@pytest.fixture
def node(tmp_path):
    """Return the path of another machine's store, which does not exist yet."""
    return tmp_path / "node"


@pytest.fixture
def two(store):
    """A store with generation 1 and its child 2, which is current."""
    make_snapshot(store, {"ann": ["a", "b"], "bob": ["c"]}, ["b", "c"], index=b"index of one")
    make_snapshot(store, {"ann": ["b", "c"], "bob": ["d"]}, ["c", "a"], index=b"index of two")
    return store


def _run(arguments, **options):
    prefixes = ("MARQUEE_", "PYTHON")  # a child process must not inherit this test run's settings
    environ = {name: text for name, text in os.environ.items() if not name.startswith(prefixes)}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environ |= options.pop("environ", {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(arguments, env=environ, text=True, timeout=60, check=False, **options)


@pytest.fixture
def python(tmp_path):
    """Run Python in a process of its own, in a directory without marquee.toml."""
    return lambda *arguments, **options: _run(
        [sys.executable, *map(str, arguments)], cwd=tmp_path, **options
    )


@pytest.fixture
def command(python, store):
    """Run `python -m store --store …` and return the completed process."""
    return lambda *arguments, **options: python(
        "-m", "store", "--store", store, *arguments, **options
    )


@pytest.fixture
def traced():
    """Run Python under strace with the given options."""
    path = shutil.which("strace")
    if path is None or _run([path, "-o", "/dev/null", "true"]).returncode != 0:
        pytest.skip("no fault injection: strace is not installed, or may not trace")

    def run(options, *arguments):
        return _run([path, "-f", *options, sys.executable, *map(str, arguments)], cwd=ROOT)

    return run


@pytest.fixture
def strace(traced):
    """Run Python with a fault injected into one of its system calls."""

    def run(call, fault, *arguments):
        options = ["-o", "/dev/null", "-e", f"trace={call}"]
        if not fault.startswith("signal"):
            options += ["--seccomp-bpf"]  # four times as fast, but signals are not injected with it
        return traced([*options, "-e", f"inject={call}:{fault}"], *arguments)

    return run


@pytest.fixture
def unprivileged():
    """Run the test as an unprivileged user; root becomes `nobody` for its duration."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)  # the real id too: access(2) checks it
    yield
    os.setresuid(0, 0, 0)


@pytest.fixture
def read_only_folder():
    """A folder that `unprivileged` may enter, but not write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def locked_folder(read_only_folder):
    """A folder that `unprivileged` may not enter."""
    read_only_folder.chmod(0)
    return read_only_folder
