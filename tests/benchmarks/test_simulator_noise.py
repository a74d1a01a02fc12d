"""Noise: every broken line is listed, and the refresh rejects exactly the invalid ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from batch.events.kinds import kinds
from batch.events.quarantine import Quarantine
from batch.events.read import read_events
from batch.settings import BatchSettings
from benchmarks.simulator.__main__ import main
from benchmarks.simulator.history.noise import KINDS
from benchmarks.simulator.history.strict import is_sound

ROOT = Path(__file__).resolve().parents[2]
ALWAYS_REJECTED = {"item", "number", "fields", "date", "schema", "blank", "joined"}
SOMETIMES_PARSES = {"foreign"}
ALWAYS_PARSES = {"minute", "rating", "time", "duplicate", "late"}


def history(folder, *more):
    size = ["--users", "400", "--items", "60", "--days", "2", "--edition", "2026"]
    assert main(["history", *size, *more, "--out", str(folder)]) == 0
    return folder


def broken(folder):
    """Return (file, line number, kind, verdict) of each broken line."""
    header, *rows = (folder / "broken.tsv").read_text().splitlines()
    assert header == "file\tline\tkind\tverdict"
    return [
        (file, int(line), kind, verdict)
        for file, line, kind, verdict in (row.split("\t") for row in rows)
    ]


def invalid_lines(folder):
    return {(file, line) for file, line, _, verdict in broken(folder) if verdict == "rejected"}


def quarantined(path, folder):
    """Return (file, line number) of each quarantined line."""
    rows = [row.split(b"\t", 3) for row in path.read_bytes().splitlines()]
    return {
        (str(Path(source.decode()).relative_to(folder)), int(line)) for _, source, line, _ in rows
    }


def rejected_by_the_reader(folder, tmp_path):
    settings = BatchSettings()
    known = kinds(settings.user_pattern, settings.item_pattern)
    with Quarantine(tmp_path / "quarantine", "q", 1) as quarantine:
        read_events([folder / "events"], known, quarantine, 1.0)
    return quarantined(quarantine.path, folder) if quarantine.path.exists() else set()


def lines(folder):
    """Return each line, without its LF, by file and number."""
    return {
        (f"events/{log.name}", number): line
        for log in (folder / "events").iterdir()
        for number, line in enumerate(log.read_bytes().split(b"\n")[:-1], 1)
    }


@pytest.mark.parametrize("more", [(), ("--crlf",)])
def test_a_refresh_quarantines_exactly_the_lines_that_must_be_rejected(tmp_path, more):
    """All kinds together; both kinds of line end."""
    few = ["--break", "rating=0.1", "--break", "number=0.1"]  # ratings are few
    folder = history(tmp_path / "history", "--noise", "0.02", *few, *more)
    command = [sys.executable, "-m", "batch", "refresh", "--json", "--store", str(tmp_path / "s")]
    inputs = ["--events", str(folder / "events"), "--catalogue", str(folder / "catalogue.jsonl")]
    end = subprocess.run(
        [*command, *inputs],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert end.returncode == 0, end.stderr
    path = tmp_path / json.loads(end.stdout)["quarantine"]
    assert {kind for _, _, kind, _ in broken(folder)} == set(KINDS)
    assert quarantined(path, folder) == invalid_lines(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_alone_breaks_its_lines_and_no_other(tmp_path, kind):
    """The option works; the strict patterns and the reader agree on every broken line."""
    share = 0.5 if kind in {"rating", "number"} else 0.01
    folder = history(tmp_path / "history", "--break", f"{kind}={share}")
    rows = broken(folder)
    assert len(rows) > 50
    assert {row[2] for row in rows} == {kind}
    verdicts = {row[3] for row in rows}
    assert ("rejected" in verdicts) == (kind not in ALWAYS_PARSES)
    assert "parses" in verdicts or kind not in ALWAYS_PARSES | SOMETIMES_PARSES
    assert "parses" not in verdicts or kind not in ALWAYS_REJECTED
    assert rejected_by_the_reader(folder, tmp_path) == invalid_lines(folder)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"late", "joined", "blank", "duplicate"}))
def test_lines_that_are_not_listed_as_broken_are_unchanged(tmp_path, kind):
    """Compared line by line with the same history without noise."""
    clean = lines(history(tmp_path / "clean"))
    noisy = history(tmp_path / "noisy", "--break", f"{kind}=0.01")
    listed = {(file, line) for file, line, _, _ in broken(noisy)}
    other = lines(noisy)
    assert other.keys() == clean.keys()
    changed = {place for place in clean if clean[place] != other[place]}
    assert changed <= listed
    assert len(changed) >= 0.9 * len(listed)  # a line cut at its end may look unchanged


def test_moved_lines_are_still_all_there(tmp_path):
    """Late lines move, duplicates and blanks add lines, joined ones lose a line end."""
    clean = sorted(lines(history(tmp_path / "clean")).values())
    late = history(tmp_path / "late", "--break", "late=0.01")
    assert sorted(lines(late).values()) == clean
    twice = history(tmp_path / "twice", "--break", "duplicate=0.01", "--break", "blank=0.01")
    places = {(file, line) for file, line, _, _ in broken(twice)}
    rest = [line for place, line in lines(twice).items() if place not in places]
    assert sorted(rest) == clean
    joined = history(tmp_path / "joined", "--break", "joined=0.01")
    n_joined = len(broken(joined))
    assert len(lines(joined)) == len(clean) - n_joined
    assert sum(map(len, lines(joined).values())) == sum(map(len, clean))


def test_noise_breaks_the_given_share_of_lines(tmp_path):
    """`--noise` breaks about that share of lines; a kind can be excluded."""
    folder = history(tmp_path, "--noise", "0.05", "--break", "foreign=0")
    rows = broken(folder)
    n_lines = len(lines(folder))
    assert 0.02 < len(rows) / n_lines < 0.04  # without foreign characters, and ratings are few
    assert "foreign" not in {kind for _, _, kind, _ in rows}


def test_without_noise_there_is_no_list_of_broken_lines(tmp_path):
    """No line is broken and none is rejected: the counterpart of the tests above."""
    folder = history(tmp_path / "history")
    assert not (folder / "broken.tsv").exists()
    assert rejected_by_the_reader(folder, tmp_path) == set()


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (b"2026-02-28T12:24,7,GET /data/m/heat+1995/3.mpg", True),
        (b"2026-02-28T12:24:01.123,7,GET /rate/heat+1995=3\r", True),
        (b"2026-02-28T12:24:01,7,GET /create_account", True),
        (b"2026-02-28T12:24:01.1,7,recommendation request a:1, status 0, result: x, 5 ms", True),
        (b"2026-02-28T12:24:01.1,7,recommendation request a:1, status 200, result: a,b,5ms", True),
        (b"2026-02-29T12:24,7,GET /data/m/heat+1995/3.mpg", False),
        (b"2026-02-28T24:24,7,GET /data/m/heat+1995/3.mpg", False),
        (b"2026-02-28T12:24,x,GET /data/m/heat+1995/3.mpg", False),
        (b"2026-02-28T12:24,7,GET /data/m/Heat+1995/3.mpg", False),
        (b"2026-02-28T12:24,7,GET /data/m/heat+1995/3.mpg ", False),
        (b"2026-02-28T12:24,7,GET /rate/heat+1995=3.5", False),
        (b"", False),
    ],
)
def test_the_strict_patterns_follow_the_scenario(line, verdict):
    """The list of broken lines depends on them."""
    assert is_sound(line) is verdict
