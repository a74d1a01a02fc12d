"""URLs of databases, and what is missing or unknown."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import DatabaseError, InputError
from batch.sql.drivers import import_drivers
from batch.sql.url import is_database_url, parse_url


def test_parts_of_a_url_are_read_and_percent_escapes_decoded():
    url = parse_url("postgres://a%40b@[::1]:5433/my%20shop?host=/run/p&table=web.views")
    assert (url.dialect, url.user, url.host, url.port) == ("postgresql", "a@b", "[::1]", 5433)
    assert (url.database, url.options) == ("my shop", (("host", "/run/p"),))
    assert url.table == "web.views"
    query = parse_url(
        "mariadb://db/shop?query=SELECT a+b AS c FROM t WHERE d = 'x%26y';&partition=c"
    )
    assert (query.query, query.partition) == ("SELECT a+b AS c FROM t WHERE d = 'x&y'", "c")
    assert parse_url("sqlite:///a/b.db").database == "a/b.db"
    assert parse_url("sqlite:////a/b.db").database == "/a/b.db"


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_characters="&"), min_size=1))
def test_any_name_of_a_table_comes_back(name):
    escaped = name.replace("%", "%25")
    assert parse_url(f"sqlite:///x.db?table={escaped}").table == name


@pytest.mark.parametrize("text", ["var/events", "/abs", "a.db", "http://x/y", "C:/postgresql://x"])
def test_path_is_not_a_database(text):
    assert not is_database_url(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mysql://db/shop?tabel=views", "has an unknown option tabel; use one of table, query"),
        ("sqlite:///x.db?host=y", "has an unknown option host"),
        ("sqlite:///x.db?table=a&query=b", "has both a table and a query"),
        ("sqlite:///x.db?table=a&table=b", "has an option twice"),
        ("postgresql://db?table=views", "names no database"),
        ("postgresql://db:x/shop", "is not a port"),
    ],
)
def test_what_contradicts_itself_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_url(text)


@pytest.mark.parametrize(
    ("dialect", "module"),
    [
        ("postgresql", "adbc_driver_postgresql.dbapi"),
        ("mysql", "connectorx"),
        ("mysql", "pymysql"),
        ("sqlite", "sqlalchemy"),
    ],
)
def test_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch, dialect, module):
    assert import_drivers(dialect)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DatabaseError, match=r"install the extra `sql`: pip install sqlalchemy"):
        import_drivers(dialect)
