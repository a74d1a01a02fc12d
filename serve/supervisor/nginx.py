"""The reverse proxy: nginx between clients and the workers.

    clients ─► nginx ─► workers.sock ──────► the worker that accepts first
                 │  └─► side_workers.sock ─► expensive requests: the side workers
                 └─ no worker answers ─► static/popular, 200

It listens on the supervisor's own socket, so that requests wait in its backlog
while nginx itself is replaced. Its files lie in a runtime directory of its own.
"""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serve.errors import ServeError
from serve.processes import end_with_parent, request_short_timeslice
from serve.settings import ServeSettings
from serve.supervisor.access_log import AccessLog
from serve.supervisor.children import ChildProcess, become
from serve.supervisor.nginx_config import configuration
from serve.supervisor.runtime_dir import PARENT, make_runtime_dir, remove_abandoned
from store.durable import replace_durable

log = logging.getLogger(__name__)

_CONFIGURATION: Final = "nginx.conf"
_STATIC_LIST: Final = "static/popular"
_STATIC_SOCKET: Final = "static.sock"
_SEARCH_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_DEFAULT_PORT: Final = 8080  # for a check where any free port is configured


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """An nginx that the last program has started.

    Attributes:
        pid: Process id of its master, 0 if it has just died.
        runtime_dir: Runtime directory of that nginx.
    """

    pid: int
    runtime_dir: Path


class ReverseProxy:
    """nginx, restarted whenever it ends.

    Attributes:
        runtime_dir: Directory of the configuration, the sockets and the static list.
        process: Master process of nginx.
    """

    def __init__(
        self,
        settings: ServeSettings,
        listener: socket.socket,
        *,
        n_workers: int,
        running: RunningProxy | None = None,
        parent: Path = PARENT,
    ) -> None:
        """Prepare nginx, or take over the one that runs.

        Args:
            settings: The server's settings.
            listener: Listening socket that nginx inherits.
            n_workers: Number of nginx workers.
            running: nginx of the last program; None makes a new runtime directory.
            parent: Directory of the new runtime directory.

        Raises:
            ServeError: nginx is not installed, or its directory cannot be written.
        """
        self._nginx = nginx_program(settings)
        self._listener = listener
        if running is None:
            remove_abandoned(parent)
            self.runtime_dir = _make_runtime_dir(parent)
        else:
            self.runtime_dir = running.runtime_dir
        pid = running.pid if running else 0
        self.process = ChildProcess("nginx", self._become_nginx, pid)
        self._log = AccessLog(settings)
        address = listener.getsockname()[:2]
        text = configuration(settings, address, n_workers=n_workers, folder=self.runtime_dir)
        self._configure(text)

    @property
    def static_list(self) -> Path:
        """File of the static list, the last resort."""
        return self.runtime_dir / _STATIC_LIST

    def keep(self) -> None:
        """Start nginx if it does not run, and rotate its log when that is full."""
        if self.process.is_due():
            self.process.start()
        elif self.process.pid and self._log.is_full():
            self._log.rotate()
            # nginx reopens the log. At SIGUSR1 its workers do so themselves; if they are `nobody`
            # and cannot reach it, new workers get it from root, which closes idle connections.
            can_reopen = os.geteuid() != 0 or self._log.is_public()
            os.kill(self.process.pid, signal.SIGUSR1 if can_reopen else signal.SIGHUP)

    def ended(self, pid: int, status: int) -> bool:
        """Record the end of a child; return False if it was not nginx."""
        if pid != self.process.pid:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGQUIT)  # its workers would continue without a master
        self.process.ended(status)
        return True

    def stop(self) -> set[int]:
        """Stop after the requests on their way; return the pid to wait for."""
        if not self.process.pid:
            return set()
        os.kill(self.process.pid, signal.SIGQUIT)
        return {self.process.pid}

    def remove(self) -> None:
        """Remove the runtime directory."""
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    def _configure(self, text: str) -> None:
        """Write the configuration if it has changed, and have a running nginx reload it."""
        file = self.runtime_dir / _CONFIGURATION
        if file.exists() and file.read_text(encoding="utf-8") == text:
            return
        try:
            with _disk_errors_explained():
                replace_durable(file, text)
        except ServeError:
            if not self.process.pid:
                shutil.rmtree(self.runtime_dir, ignore_errors=True)
            raise
        if self.process.pid:
            os.kill(self.process.pid, signal.SIGHUP)

    def _become_nginx(self) -> int:
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor
        end_with_parent(signal.SIGTERM)
        request_short_timeslice()
        (self.runtime_dir / _STATIC_SOCKET).unlink(missing_ok=True)  # left by a killed nginx
        descriptor = self._listener.fileno()
        os.set_inheritable(descriptor, True)
        become(self._nginx, *_arguments(self.runtime_dir), NGINX=f"{descriptor};")


def nginx_program(settings: ServeSettings) -> str:
    """Return the path of nginx.

    Raises:
        ServeError: It is not installed.
    """
    found = shutil.which(settings.nginx, path=_SEARCH_PATH)
    if not found:
        raise ServeError(
            settings.nginx,
            "is not installed, and bjoern alone can be crashed by hostile clients",
            "`apt-get install nginx`, or --bare on loopback and trusted networks only",
        )
    return found


def check_nginx(settings: ServeSettings, *, parent: Path = PARENT) -> None:
    """Have nginx check the configuration that these settings make, and start nothing.

    Args:
        settings: The server's settings.
        parent: Directory of the temporary runtime directory.

    Raises:
        ServeError: nginx is not installed or rejects it, or the disk is full.
    """
    nginx = nginx_program(settings)
    folder = _make_runtime_dir(parent)
    try:
        address = (settings.host, settings.port or _DEFAULT_PORT)
        text = configuration(settings, address, n_workers=1, folder=folder)
        with _disk_errors_explained():
            replace_durable(folder / _CONFIGURATION, text)
        command = [nginx, "-t", "-q", *_arguments(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if done.returncode:
        raise ServeError(
            "nginx", done.stderr.strip(), "correct the [serve] section of marquee.toml"
        )


@contextlib.contextmanager
def _disk_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServeError(
            str(error.filename or PARENT),
            f"cannot be written: {error.strerror or error}",
            "make room there, or allow this user to write there",
        ) from error


def _make_runtime_dir(parent: Path) -> Path:
    """Make nginx's runtime directory, with the folder of the static list."""
    with _disk_errors_explained():
        folder = make_runtime_dir(parent)
        try:
            (folder / "static").mkdir(mode=0o755)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _arguments(folder: Path) -> tuple[str, ...]:
    return ("-p", str(folder), "-c", str(folder / _CONFIGURATION), "-e", "stderr")
