"""Histories of the simulated service have the form of the real service's files."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.simulator.__main__ import main

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
ITEM = r"[a-z0-9+._*-]{1,109}"
RATED = re.compile(rf"{TIME},\d+,GET /rate/{ITEM}=(\d+)")
WATCHED = re.compile(rf"{TIME},\d+,GET /data/m/{ITEM}/\d+\.mpg")
ACCOUNT = re.compile(rf"{TIME},\d+,GET /create_account")
ANSWER = re.compile(rf"{TIME},\d+,recommendation request [^,]+, status \d+, result: .*, ?\d+ ?ms")


def history(folder: Path, *more: str) -> Path:
    size = ["--users", "80", "--items", "40", "--days", "3"]
    assert main(["history", *size, *more, "--out", str(folder)]) == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def lines(folder: Path) -> list[str]:
    logs = sorted((folder / "events").iterdir())
    return [line for log in logs for line in log.read_text().splitlines()]


def answers(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("more", [(), ("--parquet", "--answers", "1"), ("--noise", "0.02")])
def test_same_seed_same_bytes(tmp_path, more):
    """A seed names one history, to the byte, in every form."""
    one, again = (history(tmp_path / name, "--seed", "1", *more) for name in ("one", "again"))
    assert files(one) == files(again)


def test_by_default_one_view_of_each_user_follows_no_taste(tmp_path):
    """With five views a user that is a share of a fifth."""
    default, fifth, none = (
        files(history(tmp_path / f"{number}", "--views-per-user", "5", *more))
        for number, more in enumerate(([], ["--random-views", "0.2"], ["--random-views", "0"]))
    )
    assert default == fifth != none


@pytest.mark.parametrize("more", [(), ("--parquet",), ("--noise", "0.02")])
def test_another_seed_other_bytes(tmp_path, more):
    """No file of one seed's history equals that of another seed."""
    one, other = (files(history(tmp_path / seed, "--seed", seed, *more)) for seed in ("1", "2"))
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] == other[name]] == []


def test_a_history_replaces_an_earlier_one_of_any_form(tmp_path):
    """No file of a longer, noisy or tabular history is left."""
    clean = history(tmp_path / "clean", "--days", "2")
    used = history(tmp_path / "used", "--days", "5", "--noise", "0.02")
    history(used, "--parquet")
    history(used, "--days", "2")
    assert files(used) == files(clean)


@pytest.mark.parametrize("log_format", ["2022", "2024", "2026"])
def test_every_line_is_sound_without_noise(tmp_path, log_format):
    """Each line matches the strict patterns of the stream, and every kind of event is there."""
    all_lines = lines(history(tmp_path, "--edition", log_format))
    counts = [
        sum(bool(pattern.fullmatch(line)) for line in all_lines)
        for pattern in (WATCHED, RATED, ANSWER, ACCOUNT)
    ]
    assert sum(counts) == len(all_lines)
    assert min(counts[:3]) > 10
    assert (counts[3] > 0) == (log_format == "2026")


@pytest.mark.parametrize(("log_format", "best"), [("2022", 5), ("2026", 10)])
def test_ratings_use_the_whole_scale_of_the_edition(tmp_path, log_format, best):
    """The newest edition rates from 1 to 10."""
    all_lines = lines(history(tmp_path, "--edition", log_format, "--users", "400"))
    found = {int(match[3]) for line in all_lines if (match := RATED.fullmatch(line))}
    assert found <= set(range(1, best + 1))
    assert best in found


def test_seconds_are_dropped_when_they_are_00(tmp_path):
    """One line in 60 or so has none, and none has 00 without a fraction."""
    folder = history(tmp_path, "--edition", "2026", "--users", "1000")
    times = [line.split(",")[0] for line in lines(folder)]
    assert 0.003 < sum(len(time) == 16 for time in times) / len(times) < 0.03
    assert [time for time in times if len(time) == 19 and time.endswith(":00")] == []


def test_lines_stand_in_time_order_and_in_their_day(tmp_path):
    """A file holds one day; a time without seconds means second 00."""
    for log in sorted((history(tmp_path) / "events").iterdir()):
        times = [line.split(",")[0] for line in log.read_text().splitlines()]
        full = [time[:19] if time.count(":") == 2 else f"{time}:00" for time in times]
        assert full == sorted(full)
        assert {time[:10] for time in times} == {log.stem}


def test_a_view_is_every_minute_once_and_its_rating_comes_after_it(tmp_path):
    """Minutes of a view run from 0 without a gap, one a minute, past midnight too."""
    minutes: dict[tuple[str, str], list[int]] = {}
    last, rated = {}, {}
    for line in lines(history(tmp_path, "--users", "300")):
        at, user, what = line.split(",", 2)
        if watched := re.fullmatch(r"GET /data/m/(.*)/(\d+)\.mpg", what):
            minutes.setdefault((user, watched[1]), []).append(int(watched[2]))
            last[user, watched[1]] = at
        elif rating := re.fullmatch(r"GET /rate/(.*)=\d+", what):
            rated[user, rating[1]] = at
    assert all(numbers == list(range(len(numbers))) for numbers in minutes.values())
    assert len(rated) > 20
    assert all(last[view] < at for view, at in rated.items())


def test_new_users_join_on_every_day(tmp_path):
    """New accounts each day; a user's first line is the account."""
    joined: dict[str, str] = {}
    first: dict[str, str] = {}
    for line in lines(history(tmp_path, "--users", "500", "--edition", "2026")):
        at, user, what = line.split(",", 2)
        first.setdefault(user, what)
        if what == "GET /create_account":
            joined[user] = at
    assert {at[:10] for at in joined.values()} == {"2026-01-01", "2026-01-02", "2026-01-03"}
    assert {first[user] for user in joined} == {"GET /create_account"}


def test_catalogue_and_profiles_cover_the_events(tmp_path):
    """Every watched item and every user is described, with unique ids."""
    folder = history(tmp_path)
    items = [item["id"] for item in answers(folder / "catalogue.jsonl")]
    users = [user["user_id"] for user in answers(folder / "profiles.jsonl")]
    assert len(set(items)) == len(items) == 40
    assert len(set(users)) == len(users) == 80
    seen = [line for line in lines(folder) if ",GET /" in line]
    watched = {re.split(r"/data/m/|/rate/|=|/\d+\.mpg", line)[1] for line in seen}
    assert watched <= set(items)
    assert {int(line.split(",")[1]) for line in seen} == set(users)


def test_a_catalogue_of_real_size_has_ids_in_the_real_form(tmp_path):
    """27,000 unique ids of the stream's pattern, some with unusual characters."""
    folder = history(tmp_path, "--users", "2", "--items", "27000")
    items = answers(folder / "catalogue.jsonl")
    ids = [item["id"] for item in items]
    assert len(set(ids)) == 27_000
    assert [item_id for item_id in ids if not re.fullmatch(ITEM, item_id)] == []
    assert any(item_id.startswith("+") for item_id in ids)
    assert any("*" in item_id for item_id in ids)
    assert {"True", "False"} == {item["adult"] for item in items}
    for field in ("title", "genres", "runtime", "release_date", "cost", "tmdb_id", "imdb_id"):
        assert all(field in item for item in items)


def test_parquet_holds_the_same_views_as_the_lines(tmp_path):
    """Users, items, minutes, times and ratings are equal in both forms."""
    pq = pytest.importorskip("pyarrow.parquet")
    folder = history(tmp_path / "tables", "--parquet", "--edition", "2026")
    minutes, ratings = {}, {}
    for line in lines(history(tmp_path / "lines", "--edition", "2026")):
        _, user, what = line.split(",", 2)
        if watched := re.fullmatch(r"GET /data/m/(.*)/(\d+)\.mpg", what):
            minutes[user, watched[1]] = int(watched[2]) + 1
        elif rating := re.fullmatch(r"GET /rate/(.*)=(\d+)", what):
            ratings[user, rating[1]] = int(rating[2])
    views = pq.read_table(folder / "events/views").to_pylist()
    assert {(v["user_id"], v["item_id"]): v["minutes"] for v in views} == minutes
    assert all(
        (v["last_at"] - v["first_at"]).total_seconds() == 60 * (v["minutes"] - 1) for v in views
    )
    assert all(str(v["first_at"].date()) == str(v["date"]) for v in views)
    rows = pq.read_table(folder / "events/ratings").to_pylist()
    assert {(r["user_id"], r["item_id"]): r["rating"] for r in rows} == ratings
    assert pq.read_table(folder / "events/accounts").num_rows > 0


def test_parquet_answers_are_lists_of_real_items(tmp_path):
    """An answer has 20 items of the catalogue, or the reason of its failure."""
    pq = pytest.importorskip("pyarrow.parquet")
    folder = history(tmp_path, "--parquet", "--answers", "1", "--users", "3000")
    items = {item["id"] for item in answers(folder / "catalogue.jsonl")}
    rows = pq.read_table(folder / "events/answers").to_pylist()
    assert len(rows) == pq.read_table(folder / "events/views").num_rows
    for row in rows:
        if row["status"] == 200:
            assert len(set(row["items"].split(",")) & items) == 20
        else:
            assert row["result"].startswith("java.util.concurrent.TimeoutException")


def test_views_per_user_has_the_given_mean(tmp_path):
    """The mean number of items that a user has watched."""
    folder = history(tmp_path, "--views-per-user", "7", "--users", "500", "--items", "400")
    views = {
        (user, what.split("/")[3])
        for _, user, what in (line.split(",", 2) for line in lines(folder))
        if what.startswith("GET /data/m/")
    }
    assert 6.3 < len(views) / 500 < 7.7


@pytest.mark.parametrize(
    "bad",
    [
        *(["--users", "0"], ["--items", "many"], ["--days", "-1"], ["--seed", "-1"]),
        *(["--noise", "2"], ["--noise", "nan"], ["--noise", "some"], ["--x"]),
        *(["--views-per-user", "1"], ["--views-per-user", "inf"], ["--edition", "1999"]),
        *(["--break", "vase=0.1"], ["--break", "late"], ["--break", "late=7"]),
    ],
)
def test_invalid_arguments_exit_2(tmp_path, bad):
    """argparse reports wrong usage, and no file is written."""
    with pytest.raises(SystemExit) as end:
        main(["history", "--out", str(tmp_path / "h"), *bad])
    assert end.value.code == 2
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("size", [("1", "1"), ("1", "2"), ("2", "1"), ("3", "30")])
def test_the_smallest_worlds_work(tmp_path, size):
    """One user, one item, one day."""
    users, items = size
    history(tmp_path, "--users", users, "--items", items, "--days", "1", "--answers", "0")
    assert any(WATCHED.fullmatch(line) for line in lines(tmp_path))


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path, capsys):
    """The message has the directory and a remedy."""
    (tmp_path / "file").touch()
    assert main(["history", "--users", "5", "--out", str(tmp_path / "file" / "h")]) == 1
    assert "choose another --out" in capsys.readouterr().err
