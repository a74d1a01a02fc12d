"""A refresh from a database: the same lists as from files, and one message if it cannot be."""

import gc
import json
from pathlib import Path

import pytest

from batch.__main__ import main
from batch.events.read import read_events
from batch.settings import BatchSettings
from batch.sql import mariadb
from batch.sql.source import DatabaseInput
from store.pointer import current
from tests.batch.event_files import views
from tests.histories import write_history
from tests.refreshes import files_by_name, run_refresh


@pytest.fixture
def history(settings_file, tmp_path):
    return write_history(tmp_path / "history")


def lists(folder):
    """Return the bytes of the newest snapshot's lists."""
    return max((folder / "snapshots").iterdir()).joinpath("recs.mdb").read_bytes()


def manifest(folder):
    return json.loads(max((folder / "snapshots").iterdir()).joinpath("MANIFEST.json").read_text())


def test_lists_are_those_of_the_day_partitions_byte_by_byte(any_database, history, capsys):
    """Ingested twice, then read; one more event gives other lists."""
    assert main(["ingest", "--events", str(history.events), "--out", "partitions"]) == 0
    for _ in range(2):
        assert main(["ingest", "--events", str(history.events), "--to", any_database.url]) == 0
    capsys.readouterr()
    summaries = [
        run_refresh(capsys, "--events", url, "--store", name)
        for url, name in (("partitions", "a"), (any_database.url, "b"), (any_database.url, "c"))
    ]
    assert lists(Path("a")) == lists(Path("b")) == lists(Path("c"))
    assert len({summary["n_events"] for summary in summaries}) == 1
    (Path("more.log")).write_text("2026-03-09T10:00,100,GET /data/m/film+3+1953/80.mpg\n")
    assert main(["ingest", "--events", "more.log", "--to", any_database.url]) == 0
    capsys.readouterr()
    run_refresh(capsys, "--events", any_database.url, "--store", "d")
    assert lists(Path("d")) != lists(Path("a"))


def test_manifest_has_rows_and_a_digest_of_them(database, history, tmp_path, capsys):
    """The same data gives the same fingerprint in whatever order it lies; other data does not."""
    main(["ingest", "--events", str(history.events), "--to", database.url])
    capsys.readouterr()

    def fingerprints():
        run_refresh(capsys, "--events", database.url, "--store", "store")
        inputs = manifest(tmp_path / "store")["inputs"]
        return {entry["name"].rpartition("=")[2]: entry for entry in inputs}

    before = fingerprints()
    assert list(before) == ["views", "ratings", "accounts", "answers"]
    n_views = len(database.tables()["views"])
    assert (before["views"]["rows"], len(before["views"]["rows_digest"])) == (n_views, 32)
    database.execute(
        "CREATE TABLE reversed AS SELECT * FROM views ORDER BY user_id DESC, item_id",
        "DELETE FROM views",
        "INSERT INTO views SELECT * FROM reversed",
    )
    assert fingerprints() == before
    database.execute("UPDATE views SET minutes = minutes + 1 WHERE user_id = '100'")
    after = fingerprints()
    assert after["views"] != before["views"]
    assert after["ratings"] == before["ratings"]


def test_catalogue_and_profiles_may_be_tables(database, history, tmp_path, capsys):
    """Lists and their figures are those of the same catalogue and profiles as files."""
    items = "\n".join(f"{item},A title,'Drama|Crime'" for item in sorted(history.item_ids))
    users = [json.loads(line) for line in history.profiles.read_text().splitlines()]
    (tmp_path / "items.csv").write_text(f"movieID,title,genres\n{items}\n".replace("'", ""))
    rows = ", ".join(f"('{item}', 'A title', 'Drama|Crime')" for item in sorted(history.item_ids))
    database.execute(
        "CREATE TABLE films (movieid VARCHAR(99), title VARCHAR(99), genres VARCHAR(99))",
        f"INSERT INTO films VALUES {rows}",
        "CREATE TABLE people (user_id INTEGER, age INTEGER, gender VARCHAR(9))",
        "INSERT INTO people VALUES "
        + ", ".join(f"({u['user_id']}, {u['age']}, '{u['gender']}')" for u in users),
    )
    (tmp_path / "users.csv").write_text(
        "user_id,age,gender\n"
        + "".join(f"{u['user_id']},{u['age']},{u['gender']}\n" for u in users)
    )
    usual = ("--events", history.events, "--catalogue")
    run_refresh(capsys, *usual, "items.csv", "--profiles", "users.csv", "--store", "a")
    films = database.selecting(table="films")
    people = database.selecting(query="SELECT * FROM people")
    run_refresh(capsys, *usual, films, "--profiles", people, "--store", "b")
    assert lists(tmp_path / "a") == lists(tmp_path / "b")
    by_kind = {entry["name"]: entry.get("rows") for entry in manifest(tmp_path / "b")["inputs"]}
    assert list(by_kind.values()) == [None, len(history.item_ids), len(users)]
    assert main(["refresh", "--events", str(history.events), "--catalogue", database.url]) == 1
    assert "names no table; add ?table=NAME" in capsys.readouterr().err


def test_table_of_any_names_and_a_query_are_read_like_files(database, tmp_path):
    database.execute(
        "CREATE TABLE sales (bought_on VARCHAR(40), customer_id INTEGER, asin VARCHAR(20), "
        "stars DECIMAL(3,1), n INTEGER)",
        "INSERT INTO sales VALUES ('2026-01-02', 7, 'B1', 4.5, 1), ('2026-01-03', 8, 'B2', 2, 1), "
        "('2026-01-03', NULL, 'B2', 2, 1)",
    )
    settings = BatchSettings(
        events=(database.selecting(table="sales"),),
        quarantine=str(tmp_path / "quarantine"),
        max_rejected_share=1.0,
        columns={"time": "bought_on"},
    )
    found = read_events(settings)
    ratings = sorted(found.events.ratings.to_pylist(), key=str)
    assert [(r["user_id"], r["item_id"], r["rating"]) for r in ratings] == [
        ("7", "B1", 4.5),
        ("8", "B2", 2.0),
    ]
    assert ratings[0]["at"] == 1767312000
    assert found.rejected == {"malformed user id": 1}
    where = "asin LIKE 'B%25' AND customer_id > 0 -- no more"
    query = f"SELECT customer_id AS client, asin AS item FROM sales WHERE {where}"
    settings = BatchSettings(events=(database.selecting(query=query),), columns={"user": "client"})
    pairs = views(read_events(settings).events)
    assert [row[:2] for row in pairs] == [("7", "B1"), ("8", "B2")]


def test_parts_of_a_table_hold_every_row_once(served_database, monkeypatch, tmp_path):
    """Parts of 3 rows; a value with more rows, and rows without a value, are in one part each."""
    monkeypatch.setattr(mariadb, "PART_ROWS", 3)
    rows = [(k, k // 9 if k < 40 else "NULL") for k in range(50)]
    served_database.execute(
        "CREATE TABLE watched (user_id INTEGER PRIMARY KEY, item_id VARCHAR(9), part INTEGER)",
        "INSERT INTO watched VALUES " + ", ".join(f"({k}, 'i{k}', {part})" for k, part in rows),
    )
    query = "SELECT * FROM watched"
    for source in (
        served_database.selecting(table="watched"),
        served_database.selecting(query=query),
        served_database.selecting(table="watched", partition="part"),
        served_database.selecting(query=query, partition="item_id"),
    ):
        found = read_events(BatchSettings(events=(source,), quarantine=str(tmp_path))).events
        assert sorted(int(row[0]) for row in views(found)) == list(range(50)), source


def test_server_that_goes_away_leaves_the_store_as_it_was(
    served_database, history, capsys, monkeypatch
):
    """Killed after the first batch of a million rows: one message, the store byte for byte."""
    database = served_database
    monkeypatch.setattr(mariadb, "PART_ROWS", 50_000)
    run_refresh(capsys, "--events", history.events, "--store", "store")
    before = files_by_name(Path("store"))
    numbers = {"postgresql": "generate_series(1, 1000000) AS seq", "mysql": "seq_1_to_1000000"}
    database.execute(
        "CREATE TABLE watched (user_id INTEGER PRIMARY KEY, item_id VARCHAR(9))",
        f"INSERT INTO watched SELECT seq, 'film' FROM {numbers[database.dialect]}",
    )
    whole = DatabaseInput.batches

    def killed(self, names=()):
        for number, batch in enumerate(whole(self, names)):
            if number == 1:
                database.server.kill()
            yield batch

    monkeypatch.setattr(DatabaseInput, "batches", killed)
    source = database.selecting(table="watched")
    assert main(["refresh", "--events", source, "--store", "store"]) == 1
    message = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert len(message) == 1
    assert "the connection was lost" in message[0]
    assert files_by_name(Path("store")) == before
    assert current(Path("store")) == 1


def test_what_cannot_be_read_is_named(database, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    database.execute("CREATE TABLE films (title VARCHAR(9), year INTEGER)")
    for source, message in (
        (database.url, "names no table, and has no tables of events; add ?table=NAME"),
        (database.selecting(table="nothing"), "nothing"),
        (database.selecting(table="films"), "no column of users"),
        (database.selecting(query="DROP TABLE films"), "DROP TABLE films"),
    ):
        assert main(["refresh", "--events", source, "--store", "store"]) == 1, source
        error = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
        assert len(error) == 1
        assert message in error[0]
    assert database.rows("films", ["title"]) == []


def test_missing_file_of_sqlite_is_named_and_not_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["refresh", "--events", "sqlite:///none.db?table=views"]) == 1
    assert "sqlite:///none.db?table=views: no such file" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # PyMySQL's socket without a server
def test_server_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for source in (
        f"postgresql://reader@/shop?host={tmp_path}&table=views",
        f"mysql://reader@/shop?unix_socket={tmp_path}/socket&table=views",
    ):
        assert main(["refresh", "--events", source]) == 1
        error = capsys.readouterr().err
        assert "check that the server runs" in error
        assert len([line for line in error.splitlines() if "failed" in line]) == 1
    gc.collect()
