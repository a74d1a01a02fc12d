"""A copy of the server's code that a test may change, and the front's parts."""

import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

from benchmarks.harness.processes import processes_of
from tests.serve.running import ROOT, stand_still, wait_until


class Code:
    """A copy of `serve` and `store`; a server started with `environ` runs it."""

    def __init__(self, folder):
        self._folder = folder
        self.environ = {"PYTHONPATH": str(folder)}
        for package in ("serve", "store"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, folder / package, ignore=ignored)

    def change(self, file, old, new):
        """Replace a piece of text that stands there once."""
        path = self._folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new))


def nginx(server):
    """The pids of nginx's master, and of its workers."""
    found = [one for one in processes_of(server.process.pid) if one.name == "nginx"]
    masters = [one.pid for one in found if one.parent == server.process.pid]
    return masters, [one.pid for one in found if one.parent in masters]


def front_folder(server):
    """The front's directory, which stands in nginx's command line."""
    [master] = wait_until(lambda: nginx(server)[0])
    title = Path(f"/proc/{master}/cmdline")  # its own while it starts, then with blanks
    return Path(wait_until(lambda: re.search(r"/tmp/marquee-\w+", title.read_text()))[0])


def static_list(server):
    """The list of last resort as it lies there; None while there is none."""
    path = front_folder(server) / "static/popular"
    return path.read_bytes() if path.exists() else None


@contextlib.contextmanager
def no_workers(server):
    """Kill all workers, and let nobody replace them for a while."""
    server.wait_for_workers()
    stand_still(server.process.pid)
    try:
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
