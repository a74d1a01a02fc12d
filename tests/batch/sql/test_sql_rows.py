"""`python -m batch rows`: the number of rows, or one message."""

import pytest

from batch.__main__ import main


def rows(capsys, *arguments):
    """Return the exit status, and what the command prints."""
    status = main(["rows", *arguments])
    printed = capsys.readouterr()
    return status, printed.out.strip() or printed.err.strip()


def test_rows_of_tables_views_and_queries(any_database, settings_file, capsys):
    """The URL of a database stands for its tables of events, none for those of the settings."""
    any_database.execute(
        "CREATE TABLE views (user_id INTEGER, item_id INTEGER)",
        "INSERT INTO views VALUES (1, 1), (1, 2), (2, 1)",
        "CREATE TABLE ratings (user_id INTEGER)",
        "INSERT INTO ratings VALUES (7), (8)",
        "CREATE VIEW few AS SELECT * FROM views WHERE user_id = 1",
    )
    few = any_database.selecting(table="few")
    query = any_database.selecting(query="SELECT 1 FROM views WHERE item_id <> 7 -- all of them")
    assert rows(capsys, "--timeout", "60", any_database.url) == (0, "5")
    assert rows(capsys, few) == (0, "2")
    assert rows(capsys, "--timeout", "60", few, query) == (0, "5")
    settings_file(events=["some.log", few])
    assert rows(capsys) == (0, "2")
    status, message = rows(capsys, any_database.selecting(table="missing"))
    assert status == 1
    assert "missing" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///missing.db", "no such file"),
        ("events.log", "is not the URL of a database"),
        ("postgresql://reader:hunter2@db/shop", "has a password in it"),
    ],
)
def test_what_has_no_rows_is_named(settings_file, capsys, url, message):
    """Without a password that was in it."""
    status, printed = rows(capsys, url)
    assert status == 1
    assert message in printed
    assert "hunter2" not in printed
    assert rows(capsys) == (
        1,
        "rows failed: [batch] events: names no database; name one: rows sqlite:///x.db",
    )


def test_the_server_ends_a_count_that_takes_too_long(served_database, settings_file, capsys):
    """After a second, and the message says so."""
    numbers = {"postgresql": "generate_series(1, 1000000)", "mysql": "seq_1_to_1000000"}
    name = numbers[served_database.dialect]
    query = f"SELECT 1 AS one FROM {name} AS a CROSS JOIN {name} AS b CROSS JOIN {name} AS c"
    status, message = rows(capsys, "--timeout", "1", served_database.selecting(query=query))
    assert status == 1
    assert "takes too long" in message
    assert "allow it more time" in message
