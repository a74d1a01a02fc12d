import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30


def _wait_until(is_true):
    """Return once `is_true()`; fail where it does not become so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s in vain"
        time.sleep(0.02)


@pytest.fixture
def wait_until():
    return _wait_until


@pytest.fixture
def is_alive():
    def look(pid):
        """A zombie that nobody has reaped yet is dead."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return look


@pytest.fixture
def number_in(tmp_path):
    """The number that a child writes to a file, as soon as it is there."""

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
    """Set the machine's zone as this process sees it."""
    with monkeypatch.context() as patch:

        def change(name):
            patch.setenv("TZ", name)
            time.tzset()

        yield change
    time.tzset()


class Cron:
    """`python -m cron` in `folder`, a process; its standard error goes to a file."""

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
        return self.process.wait(PATIENCE_SECONDS)

    def log(self):
        return self.log_file.read_text()

    def wait_for(self, text):
        _wait_until(lambda: text in self.log() or self.process.poll() is not None)
        assert text in self.log()


@pytest.fixture
def cron(tmp_path):
    """Start `python -m cron` in tmp_path; what still runs at the end is killed."""
    started = []

    def start(*arguments):
        started.append(Cron(tmp_path, arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def stand_in_batch(tmp_path):
    """Let `python -m batch`, run in tmp_path, be the code given."""

    def write(code):
        (tmp_path / "batch").mkdir()
        (tmp_path / "batch" / "__init__.py").touch()
        (tmp_path / "batch" / "__main__.py").write_text(code)

    return write
