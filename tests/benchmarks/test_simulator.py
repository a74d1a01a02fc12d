"""The simulated service writes what the real one would."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.simulator.__main__ import main

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?"
ITEM = r"[a-z0-9+._*-]{1,109}"
STRICT = re.compile(rf"{TIME},\d+,GET (/data/m/{ITEM}/\d+\.mpg|/rate/{ITEM}=[1-5])")


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


def test_same_seed_same_bytes(tmp_path):
    """A seed names one history, to the byte."""
    one, again = (history(tmp_path / name, "--seed", "1") for name in ("one", "again"))
    assert files(one) == files(again)


def test_another_seed_other_bytes(tmp_path):
    """No file of one seed's history is that of another's."""
    one, other = (files(history(tmp_path / seed, "--seed", seed)) for seed in ("1", "2"))
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] == other[name]] == []


def test_every_line_is_sound_without_noise(tmp_path):
    """Each line matches the strict patterns of the stream."""
    assert [line for line in lines(history(tmp_path)) if not STRICT.fullmatch(line)] == []


def test_noise_breaks_about_as_many_lines_as_asked(tmp_path):
    """Most foreign characters break their line; a few still parse, as in life."""
    all_lines = lines(history(tmp_path, "--noise", "0.05"))
    n_broken = sum(not STRICT.fullmatch(line) for line in all_lines)
    assert 0.025 < n_broken / len(all_lines) <= 0.05


def test_lines_stand_in_time_order_and_in_their_day(tmp_path):
    """A file holds one day; a time without seconds means second 00."""
    for log in sorted((history(tmp_path) / "events").iterdir()):
        times = [line.split(",")[0] for line in log.read_text().splitlines()]
        full = [time if time.count(":") == 2 else f"{time}:00" for time in times]
        assert full == sorted(full)
        assert {time[:10] for time in times} == {log.stem}


def test_catalogue_and_profiles_cover_the_events(tmp_path):
    """Every watched item and every user is described, ids none twice."""
    folder = history(tmp_path)
    items = [json.loads(x)["id"] for x in (folder / "catalogue.jsonl").read_text().splitlines()]
    users = [json.loads(x)["user_id"] for x in (folder / "profiles.jsonl").read_text().splitlines()]
    assert len(set(items)) == len(items) == 40
    assert len(set(users)) == len(users) == 80
    watched = {re.split(r"/data/m/|/rate/|=|/\d+\.mpg", line)[1] for line in lines(folder)}
    assert watched <= set(items)
    assert {int(line.split(",")[1]) for line in lines(folder)} <= set(users)


@pytest.mark.parametrize(
    "bad",
    [
        *(["--users", "0"], ["--items", "many"], ["--days", "-1"], ["--seed", "-1"]),
        *(["--noise", "2"], ["--noise", "nan"], ["--noise", "some"], ["--x"]),
    ],
)
def test_nonsense_arguments_exit_2(tmp_path, bad):
    """Wrong usage is told by argparse, and nothing is written."""
    with pytest.raises(SystemExit) as end:
        main(["history", "--out", str(tmp_path / "h"), *bad])
    assert end.value.code == 2
    assert not (tmp_path / "h").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path, capsys):
    """The message names the folder and the way out."""
    (tmp_path / "file").touch()
    assert main(["history", "--users", "5", "--out", str(tmp_path / "file" / "h")]) == 1
    assert "choose another --out" in capsys.readouterr().err
