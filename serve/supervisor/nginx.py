"""The front: nginx between strangers and the workers.

    clients ─► nginx ─► workers.sock ─► whichever worker accepts
                 └─ all of them silent ─► static/popular, 200

It listens on the supervisor's own socket, so that requests wait in its backlog
while nginx itself is replaced. All it needs lies in a directory of its own.
"""

import contextlib
import grp
import itertools
import logging
import os
import pwd
import re
import resource
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from serve.errors import ServeError
from serve.processes import ChildProcess, become, end_with_parent, request_short_timeslice
from serve.settings import ServeSettings
from serve.supervisor.runtime_dir import PARENT, make_folder, remove_left_over
from store.durable import replace_durable

log = logging.getLogger(__name__)

_TEMPLATE: Final = Path(__file__).with_name("nginx.conf")
_CONFIGURATION: Final = "nginx.conf"
_STATIC_LIST: Final = "static/popular"
_STATIC_SOCKET: Final = "static.sock"
_SEARCHED: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_ADMIN_UPSTREAM: Final = "upstream admin { server unix:@folder@/admin.sock max_fails=0; }"
_ADMIN_LOCATION: Final = """
        location ~ ^/(?:admin/|train$) {
            if ($request_method != POST) {
                return 405;
            }
            proxy_set_header Connection "";
            proxy_set_header Content-Type $content_type;
            proxy_set_header Authorization $http_authorization;
            proxy_read_timeout 300s;  # a rollback verifies first
            proxy_next_upstream off;
            proxy_pass http://admin;
        }"""
_WORKER_SERVER: Final = "server unix:@folder@/workers.sock max_fails=0;"
_KEPT_CONNECTIONS: Final = 64  # to the workers, of each nginx worker
_OWN_DESCRIPTORS: Final = 64  # of nginx: logs, sockets, the channel to its master
_TITLES: Final = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class ReverseProxy:
    """nginx, kept running.

    Attributes:
        folder: Its own directory: configuration, sockets, the static list.
        kept: Its process.
    """

    def __init__(
        self,
        settings: ServeSettings,
        address: tuple[str, int],
        listener: int,
        *,
        n_workers: int,
        folder: Path | None = None,
        pid: int = 0,
    ) -> None:
        """Prepare it, or take over one that runs.

        Args:
            settings: What it allows.
            address: Host and port of `listener`.
            listener: Descriptor of the listening socket that it inherits.
            n_workers: nginx workers.
            folder: Of the one that runs.
            pid: Of the one that runs.

        Raises:
            ServeError: nginx is not installed, or there is no room for its directory.
        """
        self._nginx = nginx_program(settings)
        self._settings = settings
        self._listener = listener
        if folder is None:
            remove_left_over()
            with _disk_errors_explained():
                folder = _make_runtime_dir()
        self.folder = folder
        self.kept = ChildProcess("nginx", self._become_nginx, pid)
        self._log = LogFile(settings)
        text = configuration(settings, address, n_workers=n_workers, folder=self.folder)
        file = self.folder / _CONFIGURATION
        is_changed = not file.exists() or file.read_text(encoding="utf-8") != text
        if is_changed:
            try:
                with _disk_errors_explained():
                    replace_durable(file, text)
            except ServeError:
                if not pid:
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise
            if pid:
                os.kill(pid, signal.SIGHUP)  # nginx reads it anew

    @property
    def static_list(self) -> Path:
        """Where the list of last resort lies."""
        return self.folder / _STATIC_LIST

    def keep(self) -> None:
        """Start it if it does not run, and rotate its log when it is time."""
        if self.kept.is_due():
            self.kept.start()
        elif self.kept.pid and self._log.is_full():
            self._log.rotate()
            # nginx opens it anew, by SIGUSR1 its workers do so themselves. Where they are nobody
            # and may not go there, new ones get it from root; that closes clients' connections.
            reach_it = os.geteuid() != 0 or self._log.is_public()
            os.kill(self.kept.pid, signal.SIGUSR1 if reach_it else signal.SIGHUP)

    def ended(self, pid: int, status: int) -> bool:
        """Note the end of a child; False if it was not nginx."""
        if pid != self.kept.pid:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGQUIT)  # its workers would go on without a master
        self.kept.ended(status)
        return True

    def stop(self) -> set[int]:
        """Let it answer what has been asked, and end; return the pid to wait for."""
        if not self.kept.pid:
            return set()
        os.kill(self.kept.pid, signal.SIGQUIT)
        return {self.kept.pid}

    def remove(self) -> None:
        """Remove its directory."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _become_nginx(self) -> int:
        os.setpgid(0, 0)  # Ctrl-C is for the supervisor
        end_with_parent(signal.SIGTERM)
        request_short_timeslice()
        (self.folder / _STATIC_SOCKET).unlink(missing_ok=True)  # a killed nginx leaves it behind
        os.set_inheritable(self._listener, True)
        become(self._nginx, *_arguments(self.folder), NGINX=f"{self._listener};")


class LogFile:
    """The access log: JSON lines, rotated by size."""

    def __init__(self, settings: ServeSettings) -> None:
        self._path = Path(settings.access_log).absolute() if settings.access_log else None
        self._most_bytes = settings.access_log_mib << 20
        self._n_kept = settings.access_log_keep

    def is_full(self) -> bool:
        """Tell whether it is time to rotate."""
        try:
            return self._path is not None and self._path.stat().st_size >= self._most_bytes
        except OSError:
            return False

    def is_public(self) -> bool:
        """Tell whether anybody may go to where it lies."""
        folders = self._path.parents if self._path else ()
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)

    def rotate(self) -> None:
        """Move access.log to access.log.1, that to access.log.2, and forget the last."""
        assert self._path is not None
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, self._n_kept + 1))]
        for old, new in reversed([*itertools.pairwise(names)]):
            if old.exists():
                old.replace(new)


def nginx_program(settings: ServeSettings) -> str:
    """Return the path of nginx.

    Raises:
        ServeError: It is not installed.
    """
    found = shutil.which(settings.nginx, path=_SEARCHED)
    if not found:
        raise ServeError(
            settings.nginx,
            "is not installed, and bjoern alone can be crashed by hostile clients",
            "`apt-get install nginx`, or --bare on loopback and trusted networks only",
        )
    return found


def check_front(settings: ServeSettings) -> None:
    """Let nginx read the configuration that these settings make, and start nothing.

    Raises:
        ServeError: nginx is not installed or refuses it, or there is no room for it.
    """
    nginx = nginx_program(settings)
    with _disk_errors_explained():
        folder = _make_runtime_dir()
    try:
        address = (settings.host, settings.port or 8080)
        text = configuration(settings, address, n_workers=1, folder=folder)
        with _disk_errors_explained():
            replace_durable(folder / _CONFIGURATION, text)
        command = [nginx, "-t", "-q", *_arguments(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if done.returncode:
        raise ServeError("nginx", done.stderr.strip(), "see the [serve] section of marquee.toml")


def configuration(
    settings: ServeSettings, address: tuple[str, int], *, n_workers: int, folder: Path
) -> str:
    """Return the text of nginx's configuration.

    Raises:
        ServeError: There is no place for the access log, or the token cannot be read.
    """
    has_admin = bool(settings.token())
    descriptors = _descriptors(settings.connections)
    values = {
        "user": _user(),
        "workers": n_workers,
        "descriptors": descriptors,
        "connections": descriptors - _OWN_DESCRIPTORS,
        "concurrent_requests_per_client": settings.concurrent_requests_per_client,
        **_rate_limit(settings.rate_limit),
        "access_log": _access_log(settings.access_log),
        "worker_servers": "\n        ".join([_WORKER_SERVER] * _KEPT_CONNECTIONS),
        "kept_connections": _KEPT_CONNECTIONS,
        "admin_upstream": _ADMIN_UPSTREAM if has_admin else "",
        "admin_location": _ADMIN_LOCATION if has_admin else "",
        "error_pages": "\n        ".join(
            f"error_page {status} /problems/{status}.json;" for status in _TITLES
        ),
        "address": _listen_address(*address),
        "folder": folder,
    }
    return _filled(_filled(_TEMPLATE.read_text(encoding="utf-8"), values), values)


@contextlib.contextmanager
def _disk_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServeError(
            str(error.filename or PARENT),
            f"cannot be written: {error.strerror or error}",
            "make room there, or let us write there",
        ) from error


def _make_runtime_dir() -> Path:
    """Make the front's directory, with what does not depend on settings."""
    folder = make_folder()
    try:
        for name in ("static", "problems"):
            (folder / name).mkdir(mode=0o755)
        for status, title in _TITLES.items():
            problem = f'{{"status": {status}, "title": "{status} {title}"}}'
            (folder / f"problems/{status}.json").write_text(problem, encoding="ascii")
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _arguments(folder: Path) -> tuple[str, ...]:
    return ("-p", str(folder), "-c", str(folder / _CONFIGURATION), "-e", "stderr")


def _filled(text: str, values: Mapping[str, object]) -> str:
    return re.sub(r"@([a-z_]+)@", lambda name: str(values[name[1]]), text)


def _user() -> str:
    """The front's workers are nobody, even if we are root."""
    if os.geteuid() != 0:
        return ""
    nobody = pwd.getpwnam("nobody")
    return f"user {nobody.pw_name} {grp.getgrgid(nobody.pw_gid).gr_name};"


def _listen_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _rate_limit(per_second: int) -> dict[str, str]:
    if not per_second:
        return {"rate_zone": "", "rate_limit": ""}
    zone = f"limit_req_zone $binary_remote_addr zone=rate:10m rate={per_second}r/s;"
    limit = f"limit_req zone=rate burst={per_second} nodelay;\n        limit_req_status 429;"
    return {"rate_zone": zone, "rate_limit": limit}


def _access_log(path: str) -> str:
    if not path:
        return "off"
    log_file = Path(path).absolute()
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServeError(path, f"cannot be written: {error}", "see access_log") from error
    return f'"{log_file}" json buffer=64k flush=1s'


def _descriptors(connections: int) -> int:
    """A client's connection needs a second one to a worker, if the system allows so many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _OWN_DESCRIPTORS
    return min(wanted, most) if most != resource.RLIM_INFINITY else wanted
