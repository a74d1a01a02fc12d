import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120


def _wait_until(is_true):
    """Return as soon as `is_true()`; fail after TIMEOUT_SECONDS."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"not true after {TIMEOUT_SECONDS} s"
        time.sleep(0.02)


@pytest.fixture
def wait_until():
    return _wait_until


@pytest.fixture
def is_alive():
    def look(pid):
        """Return whether a process runs; a zombie does not."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return look


@pytest.fixture
def number_in(tmp_path):
    """Wait for the number that a child process writes to a file."""

    def read(name):
        file = tmp_path / name
        _wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
        return int(file.read_text())

    return read


@pytest.fixture
def on_signal():
    """Run a function in this process each time a child sends it SIGUSR1."""
    old = signal.getsignal(signal.SIGUSR1)
    yield lambda action: signal.signal(signal.SIGUSR1, lambda *_: action())
    signal.signal(signal.SIGUSR1, old)


@pytest.fixture
def machine_zone(monkeypatch):
    """Set the machine's time zone for this process."""
    with monkeypatch.context() as patch:

        def change(name):
            patch.setenv("TZ", name)
            time.tzset()

        yield change
    time.tzset()


class Cron:
    """A process `python -m cron` in `folder`; its standard error goes to a file."""

    def __init__(self, folder, arguments):
        self.log_file = folder / f"log{len(list(folder.glob('log*')))}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MARQUEE_")}
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cron", *arguments],
                cwd=folder,
                env=environment | {"PYTHONPATH": str(ROOT)},
                stderr=log,
            )

    def wait(self):
        return self.process.wait(TIMEOUT_SECONDS)

    def log(self):
        return self.log_file.read_text()

    def wait_for(self, text):
        _wait_until(lambda: text in self.log() or self.process.poll() is not None)
        assert text in self.log()


@pytest.fixture
def cron(tmp_path):
    """Start `python -m cron` in tmp_path; processes that still run at the end are killed."""
    started: list[Cron] = []

    def start(*arguments):
        started.append(Cron(tmp_path, arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def fake_batch(tmp_path):
    """Write a package `batch` into tmp_path, whose `python -m batch` runs the given code."""

    def write(code):
        (tmp_path / "batch").mkdir()
        (tmp_path / "batch" / "__init__.py").touch()
        (tmp_path / "batch" / "__main__.py").write_text(code)

    return write
