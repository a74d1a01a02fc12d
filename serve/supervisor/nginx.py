"""The reverse proxy: nginx between clients and the workers.

    clients ─► nginx ─► workers.sock ──────► the worker that accepts first
                 │  └─► side_workers.sock ─► expensive requests: the side workers
                 └─ no worker answers ─► static/popular, 200

It listens on the supervisor's own socket, so that requests wait in its backlog
while nginx itself is replaced. Its files lie in a runtime directory of its own.
One that hangs is killed, and what a cleaner removes from the directory is made anew.
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
from serve.processes import request_short_timeslice
from serve.settings import ServeSettings
from serve.supervisor.access_log import AccessLog
from serve.supervisor.children import ChildProcess, become
from serve.supervisor.nginx_config import configuration
from serve.supervisor.probe import Probe
from serve.supervisor.runtime_dir import (
    make_again,
    make_runtime_dir,
    remove_abandoned,
    runtime_parent,
)
from store.durable import replace_durable

log = logging.getLogger(__name__)

_CONFIGURATION: Final = "nginx.conf"
_STATIC_LIST: Final = "static/popular"
_STATIC_SOCKET: Final = "static.sock"
_STATIC_FOLDER: Final = "static"
_OWN_PARTS: Final = (
    "owner",
    _CONFIGURATION,
    _STATIC_FOLDER,
)
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
        parent: Path | None = None,
    ) -> None:
        """Prepare nginx, or take over the one that runs.

        Args:
            settings: The server's settings.
            listener: Listening socket that nginx inherits.
            n_workers: Number of nginx workers.
            running: nginx of the last program; None makes a new runtime directory.
            parent: Directory of the new runtime directory; None chooses it.

        Raises:
            ServeError: nginx is not installed, it rejects the configuration, or its
                directory cannot be written.
        """
        self._nginx = nginx_program(settings)
        self._listener = listener
        if running is None:
            parent = parent or runtime_parent()
            remove_abandoned(parent)
            self.runtime_dir = _make_runtime_dir(parent)
        else:
            self.runtime_dir = running.runtime_dir
        pid = running.pid if running else 0
        self.process = ChildProcess("nginx", self._become_nginx, pid)
        self._probe = Probe(self.runtime_dir / _STATIC_SOCKET)
        self._log = AccessLog(settings)
        address = listener.getsockname()[:2]
        self._text = configuration(settings, address, n_workers=n_workers, folder=self.runtime_dir)
        self._configure(self._text)
        if running is None:
            _check(self._nginx, self.runtime_dir)
        self._log.close_to_others()

    @property
    def static_list(self) -> Path:
        """File of the static list, the last resort."""
        return self.runtime_dir / _STATIC_LIST

    def keep(self) -> None:
        """Start nginx if it does not run or hangs, and rotate its log when that is full."""
        if self.process.is_due():
            self._probe.restart()
            self.process.start()
        elif self.process.pid and self._probe.is_hung():
            log.error("nginx: no sign of life through %s; killed", _STATIC_SOCKET)
            self._probe.restart()
            os.killpg(self.process.pid, signal.SIGKILL)  # its workers too
        elif self._probe.has_answered and self._log.is_full():  # else a signal would end it
            self._log.rotate()
            # nginx reopens the log. At SIGUSR1 its workers do so themselves; if they are `nobody`
            # and cannot reach it (a folder above it was there before, and is closed to others),
            # new workers get it from root, which closes idle connections.
            can_reopen = os.geteuid() != 0 or self._log.is_public()
            os.kill(self.process.pid, signal.SIGUSR1 if can_reopen else signal.SIGHUP)

    def make_parts_again(self) -> None:
        """Make anew what a cleaner of old files has removed from the runtime directory.

        Raises:
            OSError: It cannot be written.
        """
        folder = self.runtime_dir
        if not all((folder / name).exists() for name in _OWN_PARTS):
            log.warning("%s: parts have been removed; made anew", folder)
            make_again(folder)
            (folder / _STATIC_FOLDER).mkdir(exist_ok=True)
            replace_durable(folder / _CONFIGURATION, self._text)
        if self._probe.has_answered and not (folder / _STATIC_SOCKET).exists():
            log.warning("nginx: %s has been removed; restarting", _STATIC_SOCKET)
            self._probe.restart()
            os.kill(self.process.pid, signal.SIGQUIT)  # after the requests on their way

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


def check_nginx(settings: ServeSettings, *, parent: Path | None = None) -> None:
    """Have nginx check the configuration that these settings make, and start nothing.

    Args:
        settings: The server's settings.
        parent: Directory of the temporary runtime directory; None chooses it.

    Raises:
        ServeError: nginx is not installed or rejects it, or the disk is full.
    """
    nginx = nginx_program(settings)
    folder = _make_runtime_dir(parent or runtime_parent())
    try:
        address = (settings.host, settings.port or _DEFAULT_PORT)
        text = configuration(settings, address, n_workers=1, folder=folder)
        with _disk_errors_explained():
            replace_durable(folder / _CONFIGURATION, text)
        _check(nginx, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(nginx: str, folder: Path) -> None:
    """Have nginx check the configuration in its directory, which is removed if that fails."""
    command = [nginx, "-t", "-q", *_arguments(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise ServeError(
            "nginx", done.stderr.strip(), "correct the [serve] section of marquee.toml"
        )


@contextlib.contextmanager
def _disk_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServeError(
            str(error.filename or "runtime directory"),
            f"cannot be written: {error.strerror or error}",
            "make room there, or allow this user to write there",
        ) from error


def _make_runtime_dir(parent: Path) -> Path:
    """Make nginx's runtime directory, with the folder of the static list."""
    with _disk_errors_explained():
        folder = make_runtime_dir(parent)
        try:
            (folder / _STATIC_FOLDER).mkdir(exist_ok=True)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _arguments(folder: Path) -> tuple[str, ...]:
    return ("-p", str(folder), "-c", str(folder / _CONFIGURATION), "-e", "stderr")
