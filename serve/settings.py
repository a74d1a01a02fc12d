"""The `[serve]` section of `marquee.toml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serve.errors import ServeError
from store.ids import is_item_id
from store.layout import LIST_LENGTH

_SHORTEST_TOKEN: Final = 16


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How the server listens, what it allows, and what it says when there is no snapshot at all.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        workers: Processes; 0 means one for each processor it may use.
        emergency_list: Item ids answered while no snapshot can be served; without
            any the answer is 503.
        stale_hours: A snapshot older than this is warned of.
        worker_memory_mib: Of its own that a worker may take, mapped snapshots not counted.
        worker_descriptors: Files and connections of a worker; 0 means as many as
            the system allows.
        nginx: The program, by name or path.
        connections: Clients connected to the front at the same time.
        concurrent_requests_per_client: Requests of one address that are answered at the same time.
        rate_limit: Requests a second of one address; 0 means no limit.
        access_log: JSON lines, a line a request; empty means none.
        access_log_mib: The log is rotated when it has grown to this.
        access_log_keep: Rotated logs that are kept.
        admin_token: Opens `/admin/`; without one there is no such thing.
        admin_token_file: A file that holds the token.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 0
    emergency_list: tuple[str, ...] = ()
    stale_hours: float = 36.0
    worker_memory_mib: int = 512
    worker_descriptors: int = 0
    nginx: str = "nginx"
    connections: int = 8192
    concurrent_requests_per_client: int = 1024
    rate_limit: int = 0
    access_log: str = "var/log/access.log"
    access_log_mib: int = 100
    access_log_keep: int = 5
    admin_token: str = ""
    admin_token_file: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie between 0 and 65535, not {self.port}")
        for name, least in _LEAST.items():
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} must be {least} or more, not {value}")
        names = self.emergency_list
        if len(names) > LIST_LENGTH or len(set(names)) < len(names):
            raise ValueError(f"emergency_list must hold up to {LIST_LENGTH} items, none twice")
        for item_id in self.emergency_list:
            if not is_item_id(item_id):
                raise ValueError(f"emergency_list: {item_id!r} is no item id")
        if self.admin_token and self.admin_token_file:
            raise ValueError("admin_token and admin_token_file exclude each other")

    def token(self) -> str:
        """Return the token that opens `/admin/`, empty for none.

        Raises:
            ServeError: The file cannot be read, or the token is one to be guessed.
        """
        if not (self.admin_token or self.admin_token_file):
            return ""
        where, token = "admin_token", self.admin_token
        if self.admin_token_file:
            where = self.admin_token_file
            try:
                token = Path(where).read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                raise ServeError(
                    where, f"cannot be read: {error}", "see admin_token_file"
                ) from error
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            raise ServeError(
                where,
                f"a token has at least {_SHORTEST_TOKEN} visible ASCII characters",
                "make one with `python -c 'import secrets; print(secrets.token_urlsafe())'`",
            )
        return token


_LEAST: Final = {
    "workers": 0,
    "stale_hours": 0,
    "worker_memory_mib": 64,
    "worker_descriptors": 0,
    "connections": 16,
    "concurrent_requests_per_client": 1,
    "rate_limit": 0,
    "access_log_mib": 1,
    "access_log_keep": 1,
}
