"""The `[serve]` section of `marquee.toml`."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serve.errors import ServeError
from store.fresh import FRESH_HOURS
from store.ids import is_item_id
from store.layout import LIST_LENGTH
from store.shards import parse_shards

_MIN_TOKEN_CHARACTERS: Final = 16
UNSAFE_IN_NGINX_CONF: Final = re.compile(r'["$@;{}\\\x00-\x1f\x7f-\x9f]')
_IN_NGINX_CONF: Final = ("host", "nginx", "access_log")
_MAX_EVENTS_KIB: Final = 1 << 14  # a body is held in memory
PAGES: Final = ("on", "open", "off")
_MIN_VALUES: Final = {
    "workers": 0,
    "side_workers": 1,
    "stale_hours": 0,
    "fresh_hours": 0,
    "worker_memory_mib": 64,
    "worker_descriptors": 0,
    "connections": 16,
    "concurrent_requests_per_client": 1,
    "rate_limit": 0,
    "expensive_rate_limit": 0,
    "access_log_mib": 1,
    "access_log_keep": 1,
    "access_log_days": 0,
    "events_kib": 1,
    "spool_mib": 0,
    "spool_min_free_mib": 0,
}


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Addresses, processes, limits and the access log of the server.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 takes any free port.
        workers: Number of worker processes; 0 means one per available processor.
        side_workers: Number of further worker processes, for expensive requests: histories,
            similar items, ratings, metrics and pages. A bare server has none.
        emergency_list: Item ids served without a snapshot; if empty, the answer is
            then 503.
        stale_hours: Age of the snapshot from which `/readyz` contains a warning.
        fresh_hours: Age in hours from which a list of the speed layer is not used; 0: none is.
        worker_memory_mib: Limit of a worker's private memory, in MiB; mapped snapshots
            are not counted.
        worker_descriptors: Limit of a worker's open files and connections; 0 means the
            system's limit.
        nginx: Name or path of the nginx program.
        connections: Maximum number of simultaneous client connections to nginx.
        concurrent_requests_per_client: Maximum number of simultaneous requests of one
            client address; the excess is answered with 429.
        rate_limit: Maximum requests per second of one client address; the excess is
            answered with 429. 0 means no limit.
        expensive_rate_limit: Maximum expensive requests per second of one client address, in
            addition to `rate_limit`; the excess is answered with 429. 0 means no limit.
        metrics_allow: Addresses and networks that may read `/metrics`; others get 403. A
            bare server answers all.
        shards: Numbers of the shards that this machine serves, `"0,1"`, or `all`; users of other
            shards get the list of a user without one.
        access_log: Path of the access log, one JSON line per request, without queries;
            empty disables it.
        access_log_mib: Size in MiB at which the access log is rotated.
        access_log_keep: Number of rotated access logs that are kept.
        access_log_days: Age in days at which an access log is rotated and, once more as
            old, removed; 0 means no limit.
        user: Account that the server runs as if root starts it. Without it root is
            refused; "root" itself is for tests only.
        pages: Pages for people: "on", users' data only with the token; "open", without it, on a
            loopback address only; "off", none. A bare server has none.
        hide_source: Whether answers hide if a user is known: no `X-Marquee-Source` of a
            list, and no `basis` of a predicted rating.
        events_kib: Limit of the body of `POST /events`, in KiB.
        spool_mib: Size in MiB of the events that were posted and not collected yet, from which
            `POST /events` is answered with 503; 0: there is no `/events`.
        spool_min_free_mib: Free space of the store's disk in MiB below which `POST /events` is
            answered with 507.
        admin_token: Bearer token of `/admin/` and `/events`; without a token neither exists. Best
            set as `MARQUEE_SERVE_ADMIN_TOKEN` in the environment.
        admin_token_file: Path of a file with that token, in place of `admin_token`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 0
    side_workers: int = 1
    emergency_list: tuple[str, ...] = ()
    stale_hours: float = 36.0
    fresh_hours: float = FRESH_HOURS
    worker_memory_mib: int = 512
    worker_descriptors: int = 0
    nginx: str = "nginx"
    connections: int = 8192
    concurrent_requests_per_client: int = 1024
    rate_limit: int = 0
    expensive_rate_limit: int = 50
    metrics_allow: tuple[str, ...] = ("127.0.0.1", "::1")
    shards: str = "all"
    access_log: str = "var/log/access.log"
    access_log_mib: int = 100
    access_log_keep: int = 5
    access_log_days: int = 14
    user: str = ""
    pages: str = "on"
    hide_source: bool = False
    events_kib: int = 1024
    spool_mib: int = 1024
    spool_min_free_mib: int = 512
    admin_token: str = ""
    admin_token_file: str = ""

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_texts()
        self._check_pages()
        parse_shards(self.shards)  # raises what is wrong
        names = self.emergency_list
        if len(names) > LIST_LENGTH or len(set(names)) < len(names):
            raise ValueError(f"emergency_list must hold up to {LIST_LENGTH} items, none twice")
        for item_id in self.emergency_list:
            if not is_item_id(item_id):
                raise ValueError(f"emergency_list: {item_id!r} is not a valid item id")
        for network in self.metrics_allow:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"metrics_allow: {error}") from None
        if self.admin_token and self.admin_token_file:
            raise ValueError("admin_token and admin_token_file exclude each other")

    @property
    def open_shards(self) -> frozenset[int] | None:
        """Shards that this machine serves; None for all."""
        return parse_shards(self.shards)

    def _check_numbers(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie between 0 and 65535, not {self.port}")
        for name, minimum in _MIN_VALUES.items():
            if (value := getattr(self, name)) < minimum:
                raise ValueError(f"{name} must be {minimum} or more, not {value}")
        if self.events_kib > _MAX_EVENTS_KIB:
            raise ValueError(f"events_kib must be at most {_MAX_EVENTS_KIB}, not {self.events_kib}")

    def _check_pages(self) -> None:
        if self.pages not in PAGES:
            raise ValueError(f"pages must be one of {', '.join(PAGES)}, not {self.pages!r}")
        if self.pages == "open" and not is_loopback(self.host):
            raise ValueError(
                f'pages = "open" shows users\' data to everybody: host must be a loopback address, '
                f'not {self.host!r}; or set pages = "on" and admin_token'
            )

    def _check_texts(self) -> None:
        """Refuse what would end its place in nginx.conf and add directives of its own."""
        for name in _IN_NGINX_CONF:
            if found := UNSAFE_IN_NGINX_CONF.search(value := getattr(self, name)):
                raise ValueError(f"{name} must not contain {found[0]!r}, unlike {value!r}")
        if re.search(r"\s", self.host):
            raise ValueError(f"host must not contain a blank, unlike {self.host!r}")

    def token(self) -> str:
        """Return the bearer token of `/admin/`, empty if none is configured.

        Raises:
            ServeError: The file cannot be read, or the token is too short to be safe.
        """
        if not (self.admin_token or self.admin_token_file):
            return ""
        source, token = "admin_token", self.admin_token
        if self.admin_token_file:
            source = self.admin_token_file
            try:
                token = Path(source).read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                raise ServeError(
                    source, f"cannot be read: {error}", "correct admin_token_file"
                ) from error
        if len(token) < _MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
            raise ServeError(
                source,
                f"a token needs at least {_MIN_TOKEN_CHARACTERS} visible ASCII characters",
                "make one with `python -c 'import secrets; print(secrets.token_urlsafe())'`",
            )
        return token


def is_loopback(host: str) -> bool:
    """Return whether a host name or an address is that of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
