"""The parts of a server behind nginx: nginx's processes, its runtime directory, the static list."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.processes import processes_of
from tests.serve.server import Server, suspend, wait_until


def nginx_pids(server: Server) -> tuple[list[int], list[int]]:
    """Return the pids of nginx's master, and of its workers."""
    found = [one for one in processes_of(server.process.pid) if one.name == "nginx"]
    masters = [one.pid for one in found if one.parent == server.process.pid]
    return masters, [one.pid for one in found if one.parent in masters]


def runtime_dir(server: Server) -> Path:
    """Return nginx's runtime directory, which is named in its command line."""
    [master] = wait_until(lambda: nginx_pids(server)[0])
    title = Path(f"/proc/{master}/cmdline")  # its own while it starts, then with blanks
    return Path(wait_until(lambda: re.search(r"/tmp/marquee-\w+", title.read_text()))[0])


def static_list(server: Server) -> bytes | None:
    """Return the content of the static list; None before it is written."""
    path = runtime_dir(server) / "static/popular"
    return path.read_bytes() if path.exists() else None


@contextlib.contextmanager
def no_workers(server: Server) -> Iterator[None]:
    """Kill all workers, and keep the supervisor from replacing them inside the `with`."""
    server.wait_for_workers()
    suspend(server.process.pid)
    try:
        for pid in server.wait_for_workers():
            os.kill(pid, signal.SIGKILL)
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
