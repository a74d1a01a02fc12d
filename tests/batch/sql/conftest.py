"""Fixtures: an empty database of each kind, and readings of its tables."""

import itertools
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.batch.sql.servers import MariadbServer, PostgresServer, Server

for _driver in ("sqlalchemy", "adbc_driver_sqlite", "adbc_driver_postgresql", "connectorx"):
    pytest.importorskip(_driver, reason="the extra `sql` is not installed")
pytest.importorskip("pymysql", reason="the extra `sql` is not installed")

_SERVERS = {"postgresql": PostgresServer, "mysql": MariadbServer}
_NUMBERS = itertools.count()


@dataclass
class Database:
    """A database of a test.

    Attributes:
        dialect: `postgresql`, `mysql` or `sqlite`.
        name: Name of the database, or path of the file.
        server: Server, None for SQLite.
    """

    dialect: str
    name: str
    server: Server | None

    @property
    def url(self) -> str:
        """URL of the database, with a question mark or not."""
        return self.server.url(self.name) if self.server else f"sqlite:///{self.name}"

    def selecting(self, **options: str) -> str:
        """Return the URL with `table` or `query`."""
        pairs = "&".join(f"{name}={value}" for name, value in options.items())
        return f"{self.url}{'&' if '?' in self.url else '?'}{pairs}"

    def execute(self, *statements: str) -> None:
        """Execute statements."""
        if self.server:
            for statement in statements:
                self.server.sql(statement, self.name)
            return
        with closing(sqlite3.connect(self.name)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def rows(self, table: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the rows of a table as text, sorted, NULL as an empty text."""
        names = ", ".join(columns)
        if self.server:
            texts = self.server.sql(f"SELECT {names} FROM {table}", self.name).splitlines()
            found = [tuple(text.replace("NULL", "").split("\t")) for text in texts]
        else:
            with closing(sqlite3.connect(self.name)) as connection:
                values = connection.execute(f"SELECT {names} FROM {table}").fetchall()
            found = [tuple("" if v is None else str(v) for v in row) for row in values]
        return sorted(found)

    def tables(self) -> dict[str, list[tuple[str, ...]]]:
        """Return the rows of all tables of events."""
        columns = {
            "views": ("day", "user_id", "item_id", "minutes", "first_at", "last_at"),
            "ratings": ("at", "user_id", "item_id", "rating"),
            "accounts": ("at", "user_id"),
            "answers": ("at", "user_id", "host", "status", "items", "result", "milliseconds"),
        }
        return {table: self.rows(table, names) for table, names in columns.items()}


@pytest.fixture(scope="session")
def servers():
    """Start each server when it is asked for; skip where it is not installed."""
    started: dict[str, Server] = {}

    def server(dialect: str) -> Server:
        kind = _SERVERS[dialect]
        if kind.programs() is None:
            pytest.skip(f"{kind.__name__.removesuffix('Server')} is not installed")
        if dialect not in started:
            started[dialect] = kind()
        started[dialect].start()
        return started[dialect]

    yield server
    for one in started.values():
        one.start()
        one.remove()


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def any_database(request, servers, tmp_path) -> Database:
    """An empty database of each kind, with a server where it is installed."""
    return _empty(request.param, servers, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def database(request, servers, tmp_path) -> Database:
    """An empty database of each kind; of servers in the campaign alone."""
    if request.param != "sqlite":
        _skip_outside_campaign()
    return _empty(request.param, servers, tmp_path)


@pytest.fixture(params=["postgresql", "mysql"])
def served_database(request, servers, tmp_path) -> Database:
    """An empty database of each server, in the campaign alone."""
    _skip_outside_campaign()
    return _empty(request.param, servers, tmp_path)


def _skip_outside_campaign() -> None:
    if not os.environ.get("DATABASES_CAMPAIGN"):
        pytest.skip("a test of a server: run `.ci/campaigns databases`")


def _empty(dialect: str, servers, folder: Path) -> Database:
    if dialect == "sqlite":
        return Database(dialect, str(folder / "events.db"), None)
    name = f"test{next(_NUMBERS)}"
    server = servers(dialect)
    server.sql(f"CREATE DATABASE {name}")
    return Database(dialect, name, server)


@pytest.fixture
def settings_file(tmp_path, monkeypatch):
    """Work in a folder whose settings make refreshes fast, and return a function to add some."""
    monkeypatch.chdir(tmp_path)

    def write(**others: object) -> None:
        batch = {"model": "als", "iterations": 2, "second_stage": "off", "n_trees": 2} | others
        lines = (f"{key} = {json.dumps(value)}" for key, value in batch.items())
        (tmp_path / "marquee.toml").write_text("\n".join(["[batch]", *lines]) + "\n")

    write()
    return write
