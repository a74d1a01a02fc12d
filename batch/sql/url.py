"""URLs of databases: where a file may be named, so may a table or a query.

    postgresql://user@host:5432/shop?table=views
    mysql://user@host/shop?query=SELECT user, item FROM sales&partition=user
    sqlite:///relative.db?table=views       sqlite:////absolute.db

A URL has no password: it is recorded in manifests and shown in the list of processes.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from batch.errors import InputError

_DIALECTS: Final = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}
_SCHEME: Final = re.compile(rf"({'|'.join(_DIALECTS)})://", re.IGNORECASE)
_PASSWORD_OPTIONS: Final = ("password", "passwd", "sslpassword")
_OWN_OPTIONS: Final = ("table", "query", "partition")
_DRIVER_OPTIONS: Final[dict[str, frozenset[str] | None]] = {
    "postgresql": None,  # libpq checks its own
    "mysql": frozenset({"unix_socket"}),
    "sqlite": frozenset(),
}
_REMEDY: Final = (
    "leave it out, change it if others could read it, and set MARQUEE_BATCH_DATABASE_PASSWORD "
    "or [batch] database_password_file"
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database, and what is read of it.

    Attributes:
        dialect: `postgresql`, `mysql` or `sqlite`.
        user: Name of the user; empty for the driver's default.
        host: Name of the server; empty for a local one.
        port: Port of the server, None for the usual one.
        database: Name of the database, or path of the SQLite file.
        options: Options of the driver, in the order of the URL.
        table: Table to read, perhaps `schema.table`; empty without one.
        query: Query to read, without a semicolon; empty without one.
        partition: Column by whose values a query is read in parts; empty without one.
    """

    dialect: str
    user: str
    host: str
    port: int | None
    database: str
    options: tuple[tuple[str, str], ...] = ()
    table: str = ""
    query: str = ""
    partition: str = ""

    def __str__(self) -> str:
        """Return the URL of the database with the table or the query, which has no password."""
        port = f":{self.port}" if self.port else ""
        user = f"{quote(self.user)}@" if self.user else ""
        selected = f"?table={self.table}" if self.table else ""
        selected = f"?query={self.query}" if self.query else selected
        return f"{self.dialect}://{user}{self.host}{port}/{self.database}{selected}"


def is_database_url(text: str) -> bool:
    """Return whether an input is the URL of a database and not a path."""
    return _SCHEME.match(text) is not None


def parse_url(text: str) -> DatabaseUrl:
    """Return the parts of a database's URL.

    Percent escapes are decoded, in options too; `+` is a plus sign. A query may hold blanks
    and `=`, and `%26`, `%25` for `&` and `%`.

    Raises:
        InputError: It holds a password, or an unknown or contradictory option. The message
            does not repeat what may be a part of the password.
    """
    scheme, _, rest = text.partition("://")
    dialect = _DIALECTS[scheme.lower()]
    head, _, tail = rest.partition("?")
    authority, _, database = head.partition("/")
    login, _, address = authority.rpartition("@")
    if ":" in login or "@" in database or "@" in address:
        raise InputError(f"{scheme}://…", "has a password in it", _REMEDY)
    host, port = _address(scheme, address)
    options = _options(scheme, tail)
    own = {name: options.pop(name, "") for name in _OWN_OPTIONS}
    url = DatabaseUrl(
        dialect, unquote(login), host, port, unquote(database), tuple(options.items()),
        own["table"], own["query"].strip().rstrip(";").strip(), own["partition"],
    )  # fmt: skip
    _check(url)
    return url


def _address(scheme: str, address: str) -> tuple[str, int | None]:
    host, colon, port = address.rpartition(":") if not address.endswith("]") else (address, "", "")
    if not colon:
        return unquote(address), None
    if not port.isascii() or not port.isdigit():
        problem = "what follows the host's colon is not a port"
        raise InputError(f"{scheme}://…", problem, "write e.g. postgresql://user@host:5432/shop")
    return unquote(host), int(port)


def _options(scheme: str, tail: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, tail.split("&")):
        name, equals, value = pair.partition("=")
        if name.lower() in _PASSWORD_OPTIONS:
            raise InputError(f"{scheme}://…", "has a password in it", _REMEDY)
        if not equals or name in options:
            problem = "has an option twice, or one without a value"
            raise InputError(f"{scheme}://…", problem, "write ?table=views, and & as %26 in values")
        options[name] = unquote(value)
    return options


def _check(url: DatabaseUrl) -> None:
    known = _DRIVER_OPTIONS[url.dialect]
    for name, _ in url.options:
        if known is not None and name not in known:
            names = ", ".join([*_OWN_OPTIONS, *sorted(known)])
            raise InputError(url, f"has an unknown option {name}", f"use one of {names}")
    if url.table and url.query:
        raise InputError(url, "has both a table and a query", "leave one out")
    if not url.database:
        raise InputError(url, "names no database", "write e.g. postgresql://user@host/shop")
