"""nginx's configuration: the template `nginx.conf`, filled in from the settings."""

import grp
import os
import pwd
import re
import resource
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from serve.contract import PROBLEM_HEADERS, VERIFYING_ACTIONS
from serve.errors import ServeError
from serve.settings import UNSAFE_IN_NGINX_CONF, ServeSettings

_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}  # of the statuses that nginx answers by itself

_TEMPLATE: Final = Path(__file__).with_name("nginx.conf")
_ADMIN_UPSTREAM: Final = """upstream admin { server unix:@folder@/admin.sock max_fails=0; }
    upstream verifying { server unix:@folder@/verifying.sock max_fails=0; }"""
_EVENTS_UPSTREAM: Final = """
    upstream events { server unix:@folder@/events.sock max_fails=0; }
    limit_conn_zone $uri zone=bodies:64k;"""
# The token is checked before the body is taken: without it nobody fills disk or memory.
_EVENTS_LOCATION: Final = """
        location = /events {{
            if ($request_method != POST) {{
                return 405;
            }}
            client_max_body_size {kib}k;
            limit_conn clients @concurrent_requests_per_client@;
            limit_conn bodies {n_bodies};
            auth_request /events-token;
            proxy_set_header Connection "";
            proxy_set_header Authorization $http_authorization;
            proxy_connect_timeout 5s;
            proxy_send_timeout 30s;  # one request at a time is answered
            proxy_read_timeout 30s;
            proxy_next_upstream off;
            proxy_pass http://events;
        }}

        location = /events-token {{
            internal;
            client_max_body_size 0;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header Authorization $http_authorization;
            proxy_method GET;
            proxy_connect_timeout 5s;
            proxy_send_timeout 30s;
            proxy_read_timeout 30s;
            proxy_next_upstream off;
            proxy_pass http://events/token;
        }}"""
_ADMIN_LOCATION: Final = """
        location ~ {pattern} {{
            if ($request_method != POST) {{
                return 405;
            }}
            if ($http_sec_fetch_site ~ ^(?:cross-site|same-site)$) {{
                return 403;  # sent by a page of another site
            }}
            proxy_set_header Connection "";
            proxy_set_header Content-Type $content_type;
            proxy_set_header Authorization $http_authorization;
            proxy_read_timeout 300s;  # a rollback verifies first
            proxy_next_upstream off;
            proxy_pass http://{upstream};
        }}"""
_PAGES_UPSTREAM: Final = """
    upstream pages { server unix:@folder@/pages.sock max_fails=0; }"""
_PAGES_LOCATION: Final = """
        location ~ ^/(?:status|generations|pages/.+)?$ {
            if ($request_method !~ ^(?:GET|HEAD)$) {
                return 405;
            }
            @expensive_limits@
            proxy_set_header Connection "";
            proxy_set_header Authorization $http_authorization;
            proxy_set_header Host $host;
            proxy_connect_timeout 5s;
            proxy_read_timeout 60s;  # two generations are compared user by user
            proxy_next_upstream off;
            proxy_pass http://pages;
        }"""
_STATUS_LOCATION: Final = """
        location = /model/status {  # whole with the token
            if ($request_method !~ ^(?:GET|HEAD)$) {
                return 405;
            }
            @expensive_limits@
            proxy_set_header Connection "";
            proxy_set_header Authorization $http_authorization;
            proxy_read_timeout 300ms;
            proxy_next_upstream error;
            proxy_pass http://side_workers;
        }"""
_WORKER_SERVER: Final = "server unix:@folder@/{}.sock max_fails=0;"
# A client with one IPv6 address has all of its /64. IPv4 addresses have 4 bytes, or are mapped.
_IPV6_NETWORK: Final = r"""map $binary_remote_addr $client {
        "~(?s)^\x00{10}" $binary_remote_addr;
        "~(?s)^(?<network>.{8}).{8}$" $network;
        default $binary_remote_addr;
    }"""
_N_BODIES: Final = 16  # of posted events, each held in memory
_N_KEPT_CONNECTIONS: Final = 64  # to the workers, of each nginx worker
_N_OWN_DESCRIPTORS: Final = 64  # of nginx: logs, sockets, the channel to its master
_N_DESCRIPTORS_PER_CONNECTION: Final = 2  # itself and a file: the static list


def configuration(
    settings: ServeSettings, address: tuple[str, int], *, n_workers: int, folder: Path
) -> str:
    """Return the text of nginx's configuration.

    Args:
        settings: The server's settings.
        address: Host and port that clients connect to.
        n_workers: Number of nginx workers.
        folder: nginx's runtime directory.

    Raises:
        ServeError: The folder of the access log cannot be made, or the token not read.
    """
    has_admin = bool(settings.token())
    has_pages = settings.pages != "off"
    has_events = has_admin and settings.spool_mib > 0
    n_descriptors = _n_descriptors(settings.connections)
    values = {
        "user": _user(),
        "workers": n_workers,
        "descriptors": n_descriptors,
        "connections": (n_descriptors - _N_OWN_DESCRIPTORS) // _N_DESCRIPTORS_PER_CONNECTION,
        "concurrent_requests_per_client": settings.concurrent_requests_per_client,
        **_clients(settings, address[0]),
        "metrics_allow": "\n            ".join(f"allow {net};" for net in settings.metrics_allow),
        "access_log": _access_log(settings.access_log),
        "worker_servers": _worker_servers("workers"),
        "side_worker_servers": _worker_servers("side_workers"),
        "kept_connections": _N_KEPT_CONNECTIONS,
        "admin_upstream": (_ADMIN_UPSTREAM if has_admin else "")
        + (_EVENTS_UPSTREAM if has_events else "")
        + (_PAGES_UPSTREAM if has_pages else ""),
        "admin_location": (_admin_locations() if has_admin else "")
        + (_events_locations(settings) if has_events else "")
        + (_PAGES_LOCATION if has_pages else ""),
        "problem_headers": " ".join(
            f'add_header {name} "{value}" always;' for name, value in PROBLEM_HEADERS.items()
        ),
        "error_statuses": " ".join(map(str, _TITLES)),
        "titles": "\n        ".join(f'{status} "{title}";' for status, title in _TITLES.items()),
        "address": _listen_address(*address),
        "folder": folder,
    }
    return _filled(_filled(_TEMPLATE.read_text(encoding="utf-8"), values), values)


def _filled(text: str, values: Mapping[str, object]) -> str:
    return re.sub(r"@([a-z_]+)@", lambda name: str(values[name[1]]), text)


def _user() -> str:
    """Return the `user` directive: nginx's workers run as nobody, even if we are root."""
    if os.geteuid() != 0:
        return ""
    nobody = pwd.getpwnam("nobody")
    return f"user {nobody.pw_name} {grp.getgrgid(nobody.pw_gid).gr_name};"


def _admin_locations() -> str:
    verifying = _ADMIN_LOCATION.format(
        pattern=f"^/admin/(?:{'|'.join(VERIFYING_ACTIONS)})$", upstream="verifying"
    )
    others = _ADMIN_LOCATION.format(pattern="^/(?:admin/|train$)", upstream="admin")
    return verifying + others + _STATUS_LOCATION


def _events_locations(settings: ServeSettings) -> str:
    return _EVENTS_LOCATION.format(kib=settings.events_kib, n_bodies=_N_BODIES)


def _listen_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _worker_servers(name: str) -> str:
    return "\n        ".join([_WORKER_SERVER.format(name)] * _N_KEPT_CONNECTIONS)


def _clients(settings: ServeSettings, host: str) -> dict[str, str]:
    """Return the names and the rate limits of clients."""
    client = "$client" if ":" in host else "$binary_remote_addr"
    rates = {"rate": settings.rate_limit, "expensive": settings.expensive_rate_limit}
    limits = {name: f"limit_req zone={name} burst={n} nodelay;" for name, n in rates.items() if n}
    return {
        "client": client,
        "client_network": _IPV6_NETWORK if client == "$client" else "",
        "rate_zones": "\n    ".join(
            f"limit_req_zone {client} zone={name}:10m rate={rates[name]}r/s;" for name in limits
        ),
        "rate_limit": limits.get("rate", ""),
        "expensive_limits": "\n            ".join(limits.values()),
    }


def _access_log(path: str) -> str:
    if not path:
        return "off"
    log_file = Path(path).absolute()
    if UNSAFE_IN_NGINX_CONF.search(str(log_file)):
        raise ServeError(log_file, "has characters that nginx.conf cannot hold", "move access_log")
    try:
        _make_folder(log_file.parent)
    except OSError as error:
        raise ServeError(path, f"cannot be written: {error}", "correct access_log") from error
    return f'"{log_file}" json buffer=64k flush=1s'


def _make_folder(folder: Path) -> None:
    """Make a folder with its parents; as root, others may pass through those that are made.

    nginx's workers are `nobody` then, and reopen a rotated log by its path.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for one in missing:
            one.chmod(one.stat().st_mode & 0o777 | stat.S_IXOTH)


def _n_descriptors(n_connections: int) -> int:
    """Return nginx's file descriptors, as far as the system allows.

    Each client has a connection to a worker besides its own.
    """
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * n_connections * _N_DESCRIPTORS_PER_CONNECTION + _N_OWN_DESCRIPTORS
    return min(wanted, limit) if limit != resource.RLIM_INFINITY else wanted
