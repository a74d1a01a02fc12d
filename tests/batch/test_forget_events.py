"""Forgetting a user: partitions and quarantine lose their rows, and nobody else's."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from batch.events.ingest import ingest
from tests.batch.event_files import event_settings
from tests.batch.made_vectors import write_vectors

LOG = (
    "2022-11-14T12:23:12,7,GET /data/m/heat/12.mpg\n"
    "2022-11-14T12:23:12,12,GET /data/m/heat/7.mpg\n"
    "2022-11-14T12:23:13,7,GET /rate/heat=4\n"
    "2022-11-14T12:23:14,77,GET /rate/heat=4\n"
    "2022-11-15T12:23,7,GET /create_account\n"
    "2022-11-14T12:23:15,7,recommendation request h:1, status 200, result: heat, 7 ms\n"
    "2022-11-14T12:23:15,12,recommendation request h:1, status 200, result: heat, 7 ms\n"
    "2022-11-14T12:23:07,7,GE /data/m/heat/1.mpg\n"
    "2022-11-14T12:23:07,12,GE /data/m/7/7.mpg\n"
    "2022-11-1 4T12:23:07,12,GET /data/m/heat/7.mpg\n"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with partitions and a quarantine of the log."""
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "stream.log"
    log.write_text(LOG)
    ingest(event_settings(log, quarantine=tmp_path / "var/quarantine"), tmp_path / "var" / "events")
    log.unlink()
    return tmp_path


def rows(folder):
    """Return the rows of all partitions, by file name."""
    files = sorted((folder / "var" / "events").rglob("*.parquet"))
    return {file.name: pq.ParquetFile(file).read().to_pylist() for file in files}


def quarantined(folder):
    (file,) = (folder / "var" / "quarantine").iterdir()
    return file.read_text().splitlines()


def test_user_is_in_no_partition_and_no_quarantined_line(folder, capsys):
    """All rows of the others stay; a day without rows is removed."""
    before, lines = rows(folder), quarantined(folder)
    assert main(["forget", "7"]) == 0, capsys.readouterr().err
    after = rows(folder)
    assert after == {
        name: kept
        for name, old in before.items()
        if (kept := [row for row in old if row["user_id"] != "7"])
    }
    assert len(after) == len(before) - 1
    assert quarantined(folder) == [line for line in lines if ",7," not in line]
    assert len(quarantined(folder)) == 2
    assert "1 views, 1 ratings, 1 accounts, 1 answers" in capsys.readouterr().out


def test_forgotten_days_are_those_of_an_ingest_without_the_user(folder):
    """The remaining files have the same bytes, so that a later ingest changes nothing."""
    assert main(["forget", "7"]) == 0
    log = folder / "others.log"
    log.write_text("".join(line for line in LOG.splitlines(True) if ",7," not in line))
    ingest(event_settings(log, quarantine=folder / "q"), folder / "others")
    files = [sorted(path.rglob("*.parquet")) for path in (folder / "var/events", folder / "others")]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]


def test_unknown_user_is_an_error_and_changes_nothing(folder, capsys):
    """A number that is a minute, a second or a line's number is not a user."""
    before = rows(folder), quarantined(folder)
    for user in ("23", "8", "07", "1"):
        assert main(["forget", user, "--json"]) == 1
        output = capsys.readouterr()
        assert f"{user}: unknown" in output.err
        assert json.loads(output.out)["unknown"] == [user]
    assert (rows(folder), quarantined(folder)) == before


@pytest.mark.parametrize("user", ["", "a b", "a,b", "x" * 65])
def test_malformed_user_is_refused(folder, capsys, user):
    before = rows(folder)
    assert main(["forget", "7", user]) == 1
    assert "not a valid user id" in capsys.readouterr().err
    assert rows(folder) == before


@pytest.mark.parametrize(
    "name", ["stream.log", "table.parquet", "profiles.jsonl", "profiles.parquet"]
)
def test_inputs_that_name_the_user_are_reported(folder, capsys, name):
    """Files that others write are not changed; those of other users are not reported."""
    named, other = folder / "var" / "events" / name, folder / "var" / "events" / f"other-{name}"
    for path, user in ((named, 7), (other, 12)):
        if name == "stream.log":
            path.write_text(f"2022-11-14T12:07:07,{user},GET /data/m/7/7.mpg\n")
        elif name == "profiles.jsonl":
            path.write_text(f'{{"user_id":{user}, "age": 70}}\n')
        elif name == "profiles.parquet":
            pq.write_table(pa.table({"user_id": [float(user)], "age": [70]}), path)
        else:
            pq.write_table(pa.table({"user_id": [user], "item_id": [7]}), path)
    assert main(["forget", "7"]) == 1
    output = capsys.readouterr()
    assert f"{named.relative_to(folder)} may still name a user" in output.out
    assert "other-" not in output.out + output.err
    assert all(
        row["user_id"] != "7"
        for old in rows(folder).values()
        for row in old
        if name != "table.parquet"
    )


@pytest.mark.parametrize(
    "line",
    [
        "USER;102;5", "102|USER|5", "USER.0,102.0,4", "USER 102 103", "{'user_id': 'USER'}",
        '[{"user_id": USER}]', '{"users": [USER, 8]}', '{"user_id": USER.0}',
    ],
)  # fmt: skip
def test_user_is_found_in_every_form_of_text(folder, capsys, line):
    """A longer id is another user."""
    file = folder / "var" / "events" / "other.txt"
    for user, is_named in (("4711", True), ("47110", False), ("14711", False)):
        file.write_text(line.replace("USER", user) + "\n")
        main(["forget", "4711"])
        assert ("may still name a user" in capsys.readouterr().out) == is_named


def test_vectors_of_the_user_are_reported(folder, capsys, monkeypatch):
    """The file of `user_vectors` is one that others write, too; it may have users of its own."""
    path = write_vectors(folder / "vectors.parquet", {"7": [0.5], "4711": [0.25]})
    monkeypatch.setenv("MARQUEE_BATCH_USER_VECTORS", str(path))
    assert main(["forget", "7", "4711"]) == 1
    assert f"{path} may still name a user" in capsys.readouterr().out
    assert main(["forget", "12"]) == 0
    assert "may still name" not in capsys.readouterr().out
