"""Ingest into a database: the same rows as day partitions, once, whatever is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.errors import DatabaseError
from batch.events.fold import DAY_SECONDS
from batch.events.ingest import ingest, ingest_into
from batch.events.read import ReadSizes
from batch.events.stream import StreamParser
from batch.sql.connection import connect
from batch.sql.target import DatabaseSizes, open_target
from batch.sql.url import parse_url
from tests.batch.event_files import event_settings
from tests.serve.server import wait_until

_SMALL = DatabaseSizes(run_bytes=1, deleted_rows=7)
_KILLS = [("merge", 9, 0), ("commit", 1, 0), ("commit", 3, 5)]  # method, call of it, keep_days
if os.environ.get("DATABASES_CAMPAIGN"):
    _KILLS += [("merge", 1, 0), ("execute", 12, 5)]
_WRITES_OFTEN = """
import sqlite3, sys
from contextlib import closing

while True:
    with closing(sqlite3.connect(sys.argv[1], timeout=60)) as connection:
        connection.execute("INSERT INTO views VALUES (1)")
        connection.commit()
"""
_KILLED = """
import os, signal, sys
from batch.events.ingest import ingest_into
from batch.events.read import ReadSizes
from batch.settings import BatchSettings
from batch.sql.connection import connect
from batch.sql.target import DatabaseSizes, open_target
from batch.sql.url import parse_url

log, url, method, count, keep_days = sys.argv[1:]
connection = connect(parse_url(url), "", creates=True)
n_left, call = int(count), getattr(connection, method)

def killed(*arguments):
    global n_left
    n_left -= 1
    if not n_left:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*arguments)

setattr(connection, method, killed)
sizes = DatabaseSizes(run_bytes=1, deleted_rows=7)
target = open_target(connection, int(keep_days) or None, sizes)
ingest_into(BatchSettings(events=(log,)), target, ReadSizes(block_bytes=1 << 12))
"""


def log_lines(n_lines=600, seed=3, first_day=datetime(2026, 11, 1, tzinfo=UTC)):
    """Return lines of every type of event within 20 days, some of them twice."""
    rng = random.Random(seed)
    lines = []
    for _ in range(n_lines):
        at = datetime.fromtimestamp(
            first_day.timestamp() + rng.randrange(20 * DAY_SECONDS), tz=UTC
        ).strftime("%Y-%m-%dT%H:%M:%S")
        user, item = rng.randrange(30), f"film+{rng.randrange(20)}"
        lines.append(
            rng.choice(
                (
                    f"{at},{user},GET /data/m/{item}/{rng.randrange(90)}.mpg\n",
                    f"{at},{user},GET /data/m/{item}/{rng.randrange(90)}.mpg\n",
                    f"{at},{user},GET /rate/{item}={rng.randrange(1, 6)}\n",
                    f"{at},{user},GET /create_account\n",
                    f"{at},{user},recommendation request h:1, status 200, result: {item}, 7 ms\n",
                    f"{at},{user},recommendation request h:1, status 0, result: x\x00y, 7 ms\n",
                )
            )
        )
    return lines + rng.sample(lines, n_lines // 10)


@pytest.fixture
def store_lines(database, tmp_path):
    """Ingest lines into the database."""

    def store_lines(lines, keep_days=None, sizes=_SMALL):
        log = tmp_path / "stream.log"
        log.write_text("".join(lines))
        connection = connect(parse_url(database.url), "", creates=True)
        settings = event_settings(log, quarantine=tmp_path / "quarantine")
        target = open_target(connection, keep_days, sizes)
        return ingest_into(settings, target, ReadSizes(block_bytes=1 << 12))

    return store_lines


def partitioned_views(lines, folder):
    """Return the rows of views that day partitions of the lines have, as a database has them."""
    log = folder / "partitioned.log"
    log.write_text("".join(lines))
    ingest(event_settings(log, quarantine=folder / "quarantine"), folder / "partitions")
    rows = []
    for path in (folder / "partitions/views").rglob("*.parquet"):
        for row in pq.ParquetFile(path).read().to_pylist():
            first, last = (
                int(row[name].replace(tzinfo=UTC).timestamp()) for name in ("first_at", "last_at")
            )
            values = (first // DAY_SECONDS, row["user_id"], row["item_id"], row["minutes"])
            rows.append(tuple(map(str, (*values, first, last))))
    return sorted(rows)


def test_tables_have_the_rows_of_day_partitions(database, store_lines, tmp_path):
    lines = log_lines()
    result = store_lines(lines)
    tables = database.tables()
    assert tables["views"] == partitioned_views(lines, tmp_path)
    distinct = {line for line in lines if "/rate/" in line}
    assert len(tables["ratings"]) == len(distinct)
    assert len(tables["accounts"]) == len({line for line in lines if "/create" in line})
    assert len(tables["answers"]) == len({line for line in lines if "request" in line})
    assert (result.n_lines, result.rejected) == (660, {})
    assert {row[5] for row in tables["answers"]} == {"", "x\ufffdy"}


def test_same_lines_in_any_order_change_nothing_and_others_do(database, store_lines):
    lines = log_lines()
    store_lines(lines)
    before = database.tables()
    random.Random(1).shuffle(lines)
    store_lines(lines)
    store_lines(lines[:50], sizes=DatabaseSizes())
    assert database.tables() == before
    store_lines(["2026-11-21T00:00:00,7,GET /data/m/film+1/1.mpg\n"])
    assert len(database.tables()["views"]) == len(before["views"]) + 1


def test_parts_of_a_day_give_the_furthest_minute_and_both_times(database, store_lines):
    for at, minute in (("10:00:00", 5), ("12:00:00", 3), ("09:00:00", 4)):
        store_lines([f"2026-11-21T{at},7,GET /data/m/heat/{minute}.mpg\n"])
    ((day, *_, minutes, first_at, last_at),) = database.tables()["views"]
    begin = int(day) * DAY_SECONDS
    assert (minutes, int(first_at) - begin, int(last_at) - begin) == ("5", 9 * 3600, 12 * 3600)


def test_old_rows_are_deleted_in_batches_and_new_ones_kept(database, store_lines):
    """A day is kept for keep_days whole days; without a limit every day is."""
    today = datetime.now(UTC)
    first_day = datetime.fromtimestamp(today.timestamp() - 15 * DAY_SECONDS, tz=UTC)
    lines = log_lines(first_day=first_day)
    store_lines(lines)
    everything = database.tables()
    result = store_lines(lines, keep_days=5)
    oldest = int(today.timestamp()) // DAY_SECONDS - 5
    left = database.tables()
    for name, rows in everything.items():
        unit = 1 if name == "views" else DAY_SECONDS
        assert left[name] == [row for row in rows if int(row[0]) // unit >= oldest], name
        assert 7 < len(left[name]) < len(rows)
    n_rows = sum(map(len, everything.values())) - sum(map(len, left.values()))
    assert result.rows["expired"] == n_rows


@pytest.mark.parametrize(("method", "count", "keep_days"), _KILLS)
def test_killed_ingest_loses_nothing_and_doubles_nothing(
    database, store_lines, tmp_path, method, count, keep_days
):
    """SIGKILL at any step; the next ingest of the same lines gives what one alone gives."""
    first_day = datetime.fromtimestamp(time.time() - 15 * DAY_SECONDS, tz=UTC)
    lines, before = log_lines(first_day=first_day), log_lines(100, 4, first_day)
    store_lines(before)
    earlier = database.tables()
    log = tmp_path / "stream.log"
    log.write_text("".join(lines))
    command = [sys.executable, "-c", _KILLED, log, database.url, method, str(count), str(keep_days)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if not keep_days:  # killed before the first commit
        assert database.tables() == earlier
    store_lines(lines, keep_days or None)
    after_kill = database.tables()
    store_lines([*before, *lines], keep_days or None)
    assert database.tables() == after_kill
    if not keep_days:
        assert after_kill["views"] == partitioned_views([*before, *lines], tmp_path)


def write(connection, events):
    """Write events at once, and return the number of views."""
    with open_target(connection, None, _SMALL) as target:
        target.add(events)
        return target.commit()["views"]


def test_second_writer_is_refused_while_the_first_one_writes(database, monkeypatch):
    """One message; the first writer goes on and commits. SQLite waits, here for a moment."""
    monkeypatch.setattr("batch.sql.adbc._WAIT", "PRAGMA busy_timeout = 100")
    parse = StreamParser(r"\d+", r"[a-z0-9+]+")
    events = parse(pa.array([line.encode() for line in log_lines()]))
    first, second = (connect(parse_url(database.url), "", creates=True) for _ in range(2))
    with open_target(first, None, _SMALL) as target:
        target.add(events)
        with pytest.raises(DatabaseError, match="another process is writing to"):
            write(second, events)
        n_views = target.commit()["views"]
    assert n_views == len(database.tables()["views"]) > 0
    assert write(connect(parse_url(database.url), ""), events) == n_views


def count_views(url):
    """Return the number of views."""
    with connect(url, "") as connection:
        return connection.value("SELECT count(*) FROM views")


def test_a_file_is_read_while_another_process_opens_and_closes_it(tmp_path):
    """A process that closes SQLite's file last locks it for a moment: a reader waits that long.

    Without the wait, about one of three reads fails.
    """
    path = tmp_path / "events.db"
    url = parse_url(f"sqlite:///{path}")
    with connect(url, "", creates=True) as connection:
        connection.execute("CREATE TABLE views (number INTEGER)")
        connection.commit()
    with subprocess.Popen([sys.executable, "-c", _WRITES_OFTEN, path]) as writer:
        try:
            wait_until(lambda: count_views(url))
            counts = [count_views(url) for _ in range(50)]
            wait_until(lambda: count_views(url) > counts[0])
        finally:
            writer.kill()
    assert counts == sorted(counts)


def test_table_of_others_is_refused_and_left_alone(database, store_lines):
    database.execute("CREATE TABLE accounts (id INTEGER)", "INSERT INTO accounts VALUES (7)")
    with pytest.raises(DatabaseError, match=r"table accounts has the columns id and not at"):
        store_lines(log_lines())
    assert database.rows("accounts", ["id"]) == [("7",)]


def test_lost_server_leaves_the_database_as_it_was(served_database, tmp_path, monkeypatch):
    """The server is killed between two merges: one message, and no row of the ingest."""
    database, lines = served_database, log_lines()
    with open_target(connect(parse_url(database.url), "")) as target:
        target.commit()
    before = database.tables()
    log = tmp_path / "stream.log"
    log.write_text("".join(lines))
    connection = connect(parse_url(database.url), "")
    merge, calls = connection.merge, []

    def merge_and_kill(statement, rows):
        calls.append(len(rows))
        if len(calls) == 5:
            database.server.kill()
        merge(statement, rows)

    monkeypatch.setattr(connection, "merge", merge_and_kill)
    settings = event_settings(log, quarantine=tmp_path / "quarantine")
    with pytest.raises(DatabaseError, match="the connection was lost") as caught:
        ingest_into(settings, open_target(connection, None, _SMALL), ReadSizes(block_bytes=1 << 12))
    assert str(caught.value).startswith(str(parse_url(database.url)))
    assert "\n" not in str(caught.value)
    database.server.start()
    assert database.tables() == before


def test_command_says_what_it_wrote_and_refuses_wrong_use(database, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stream.log").write_text("".join(log_lines()))
    usual = ["ingest", "--events", "stream.log"]
    assert main([*usual, "--to", database.url, "--keep-days", "36500"]) == 0
    output = capsys.readouterr().out
    assert "660 lines" in output
    assert "0 expired of these lines" in output
    for options, message in (
        (["--to", database.selecting(table="views")], "names a table or a query; leave it out"),
        (["--to", "var/events"], "is not the URL of a database"),
        (["--keep-days", "3"], "--keep-days: is given without --to"),
    ):
        assert main([*usual, *options]) == 1
        assert message in capsys.readouterr().err
    for options in (["--to", database.url, "--out", "x"], ["--to", database.url, "--keep-days=0"]):
        with pytest.raises(SystemExit, match="2"):
            main([*usual, *options])


def test_database_is_not_a_log(database, store_lines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store_lines(log_lines())
    assert main(["ingest", "--events", database.url]) == 1
    assert "is a database; give it to a refresh, which reads it" in capsys.readouterr().err


def test_forgotten_user_is_in_no_table_and_others_are(
    database, store_lines, tmp_path, monkeypatch, capsys
):
    """A table of others is reported, and left as it is."""
    monkeypatch.chdir(tmp_path)
    store_lines(log_lines())
    before = database.tables()
    (tmp_path / "stream.log").unlink()
    (tmp_path / "marquee.toml").write_text(f'[batch]\nevents = ["{database.url}"]\n')
    assert main(["forget", "7"]) == 0
    assert "views" in capsys.readouterr().out
    user = {"views": 1, "ratings": 1, "accounts": 1, "answers": 1}
    for name, rows in database.tables().items():
        assert rows == [row for row in before[name] if row[user[name]] != "7"]
        assert 0 < len(rows) < len(before[name])
    assert main(["forget", "7"]) == 1
    assert "7: unknown" in capsys.readouterr().err
    database.execute("CREATE TABLE sales (user_id INTEGER, item_id INTEGER)")
    sales = database.selecting(table="sales")
    (tmp_path / "marquee.toml").write_text(f'[batch]\nevents = ["{sales}", "{database.url}"]\n')
    assert main(["forget", "8"]) == 1
    assert "table=sales: may still name a user" in capsys.readouterr().err
