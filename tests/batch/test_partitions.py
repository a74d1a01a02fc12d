"""Ingest: the same lines give the same day partitions, in any order and any files."""

import datetime
import random
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import BatchError, InputError, NothingToLearnError, RejectedError
from batch.events.ingest import ingest
from batch.events.partitions import PartitionSizes, open_partitions
from batch.events.read import ReadSizes, read_events
from batch.interactions.build import build_interactions
from batch.settings import BatchSettings
from tests.batch.event_files import event_settings

MAX_NUMBER = 10**6


@pytest.fixture
def ingest_texts(tmp_path):
    """Write texts to a log each and ingest them together."""

    def ingest_texts(*texts, out=tmp_path / "events", max_rejected_share=1.0, **sizes):
        logs = []
        for number, text in enumerate(texts):
            logs.append(tmp_path / f"{number}.log")
            logs[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        settings = event_settings(
            *logs, quarantine=tmp_path / "quarantine", max_rejected_share=max_rejected_share
        )
        return ingest(settings, out, **sizes)

    return ingest_texts


def files(folder):
    """Return every file of the partitions and its bytes, without the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def rows(folder, kind):
    """Return the rows of one type of event, each with the day of its folder."""
    return [
        (path.parent.name.removeprefix("date="), *row.values())
        for path in sorted((folder / kind).rglob("*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def at(text):
    return datetime.datetime.fromisoformat(text)


# --- layout and rows ----------------------------------------------------------------------


def test_views_are_one_row_a_user_item_and_day(ingest_texts, tmp_path):
    """The furthest minute, the first and the last time of each day; midnight splits a view."""
    ingest_texts(
        "2026-03-01T23:58:07,7,GET /data/m/heat+1995/9.mpg\n"
        "2026-03-01T23:59,7,GET /data/m/heat+1995/10.mpg\n"
        "2026-03-02T00:00:07.426,7,GET /data/m/heat+1995/11.mpg\n"
        "2026-03-01T10:00,7,GET /data/m/heat+1995/170.mpg\n"
    )
    assert rows(tmp_path / "events", "views") == [
        ("2026-03-01", "7", "heat+1995", 170, at("2026-03-01T10:00"), at("2026-03-01T23:59")),
        ("2026-03-02", "7", "heat+1995", 11, *[at("2026-03-02T00:00:07")] * 2),
    ]


def test_ratings_accounts_and_answers_are_partitioned_by_day(ingest_texts, tmp_path):
    """Ratings keep their times, answers the list that was shown or the error."""
    begin = "2026-03-01T10:00:01.5,7,recommendation request host:8082, status"
    ingest_texts(
        "2026-03-01T10:00,7,GET /rate/heat+1995=3\n"
        "2026-03-01T11:00,7,GET /rate/heat+1995=5\n"
        "2026-03-02T10:00,8,GET /create_account\n"
        f"{begin} 200, result: heat+1995, m+1931,.45+2006, 65 ms\n"
        f"{begin} 0, result: Connection refused: host/10.0.0.1:8082, 1369 ms\n"
    )
    folder = tmp_path / "events"
    assert rows(folder, "ratings") == [
        ("2026-03-01", "7", "heat+1995", 3.0, at("2026-03-01T10:00")),
        ("2026-03-01", "7", "heat+1995", 5.0, at("2026-03-01T11:00")),
    ]
    assert rows(folder, "accounts") == [("2026-03-02", "8", at("2026-03-02T10:00"))]
    moment = ("2026-03-01", "7", at("2026-03-01T10:00:01"), "host:8082")
    refused = "Connection refused: host/10.0.0.1:8082"
    assert rows(folder, "answers") == [
        (*moment, 0, None, refused, 1369),
        (*moment, 200, "heat+1995,m+1931,.45+2006", None, 65),
    ]


def test_columns_are_the_documented_ones(ingest_texts, tmp_path):
    """Ids are dictionary-encoded, times are timestamps, and pandas reads the files."""
    ingest_texts("2026-03-01T10:00,7,GET /data/m/m/1.mpg\n2026-03-01T10:00,7,GET /rate/m=3\n")
    path = tmp_path / "events" / "views" / "date=2026-03-01" / "views-2026-03-01.parquet"
    file = pq.ParquetFile(path)
    assert file.schema_arrow.names == ["user_id", "item_id", "minutes", "first_at", "last_at"]
    encodings = file.metadata.row_group(0).column(1).encodings
    assert "RLE_DICTIONARY" in encodings
    frame = pd.read_parquet(tmp_path / "events" / "views")
    assert frame["first_at"].dtype.kind == "M"
    assert frame["date"].astype(str).tolist() == ["2026-03-01"]


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"])
def test_days_far_in_the_past_and_future_are_partitions(ingest_texts, tmp_path, day):
    """Any time that exists has its own day, and is read back unchanged."""
    ingest_texts(f"{day}T23:59:59,7,GET /data/m/m/1.mpg\n{day}T23:59:59,7,GET /rate/m=3\n")
    assert rows(tmp_path / "events", "views") == [(day, "7", "m", 1, *[at(f"{day}T23:59:59")] * 2)]
    events = read_all([tmp_path / "events"])
    seconds = (at(f"{day}T23:59:59") - at("1970-01-01")) // datetime.timedelta(seconds=1)
    assert events.views["first_at"].to_pylist() == events.ratings["at"].to_pylist() == [seconds]


# --- compared with a plain model ----------------------------------------------------------

_EVENT = re.compile(
    r"(\S{16})(?::(\d\d))?(?:\.\d+)?,(\d+),GET /(data/m|rate)/([^/=]+)[/=](\d+)(?:\.mpg)?"
)


def line_by_line(lines):
    """Return the rows of views and ratings, line by line."""
    views, ratings = defaultdict(list), set()
    for line in lines:
        if not (found := _EVENT.fullmatch(line)):
            continue
        minute, second, user, kind, item, digits = found.groups()
        number, moment = (
            int(digits) if len(digits) <= 6 else MAX_NUMBER,
            at(minute + f":{second or '00'}"),
        )
        if kind == "rate":
            ratings.add((str(moment.date()), user, item, float(number), moment))
        else:
            views[str(moment.date()), user, item].append((number, moment))
    return (
        sorted(
            (*key, max(n for n, _ in both), min(m for _, m in both), max(m for _, m in both))
            for key, both in views.items()
        ),
        sorted(ratings),
    )


times = st.builds(
    lambda day, hour, rest: f"2026-03-0{day}T{hour:02}{rest}",
    st.integers(1, 4),
    st.sampled_from([0, 12, 23]),
    st.sampled_from([":00", ":59", ":59:58", ":00:01.426", ":30:00.000000001"]),
)
users = st.sampled_from(["7", "07", "8", "100"])
items = st.sampled_from(["heat+1995", "m", ".45+2006", "m+1931"])
sound = st.builds(
    "{},{},GET {}".format,
    times,
    users,
    st.builds("/data/m/{}/{}.mpg".format, items, st.sampled_from([0, 3, 58, 1196, 10**7]))
    | st.builds("/rate/{}={}".format, items, st.sampled_from([0, 1, 4, 5, 9, 10**9])),
)
others = st.builds(
    "{},{},{}".format,
    times,
    users,
    st.sampled_from([
        "GET /create_account",
        "recommendation request h:1, status 200, result: m, 9 ms",
        "GET /data/m/m/x.mpg",
        "",
    ]),
)  # fmt: skip
histories = st.lists(sound | others, min_size=1, max_size=40)


def write_logs(folder, parts):
    folder.mkdir()
    paths = []
    for number, lines in enumerate(parts):
        paths.append(folder / f"{number}.log")
        # A valid first line, so that a part of only noise is recognized as a log.
        paths[-1].write_text("".join(f"{line}\n" for line in [KEY, *lines]))
    return tuple(paths)


KEY = "2026-03-01T12:00,7,GET /data/m/m/0.mpg"


def read_all(paths):
    with tempfile.TemporaryDirectory() as quarantine:  # outside the directories that are read
        return read_events(event_settings(*paths, quarantine=Path(quarantine))).events


def interactions_of(paths):
    """Return the interactions that a refresh would build from files of events."""
    try:
        built = build_interactions(read_all(paths), None, 0.0)
    except NothingToLearnError:
        return "nothing to learn"
    weights, ratings = built.weights, built.ratings
    arrays = (weights.data, weights.indices, weights.indptr, ratings.user_row, ratings.item_row)
    return (
        built.user_ids.to_pylist(),
        built.item_ids.to_pylist(),
        [array.tolist() for array in (*arrays, ratings.rating)],
        ratings.best,
        built.n_users_without,
        set(built.dropped),
    )


def sizes(block_bytes, run_bytes, merge_rows):
    """Return how much is read, collected and merged at a time."""
    return {
        "read_sizes": ReadSizes(block_bytes=block_bytes),
        "partition_sizes": PartitionSizes(run_bytes, merge_rows),
    }


@settings(max_examples=40, deadline=None)
@given(
    history=histories,
    data=st.data(),
    small=st.sampled_from([(1 << 23, 1 << 26, 10**6), (200, 0, 3), (64, 2000, 1)]),
)
def test_order_cuts_overlaps_and_repetitions_change_nothing(tmp_path_factory, history, data, small):
    """Lines shuffled, split into overlapping files, ingested in two runs and once more:
    the partitions are those of a plain reading, and a refresh builds the same interactions."""
    folder = tmp_path_factory.mktemp("property")
    whole = write_logs(folder / "whole", [history])
    shuffled = data.draw(st.permutations(history))
    cut, overlap = data.draw(st.integers(0, len(history))), data.draw(st.integers(0, 5))
    parts = write_logs(folder / "parts", [shuffled[: cut + overlap], shuffled[cut:]])
    out, again = folder / "out", folder / "once"
    for logs in (parts[:1], parts[1:], parts):
        ingest(event_settings(*logs, quarantine=folder), out, **sizes(*small))
    ingest(event_settings(*whole, quarantine=folder), again)
    views, ratings = line_by_line([KEY, *history])
    assert sorted(rows(out, "views")) == sorted(rows(again, "views")) == views
    assert sorted(rows(out, "ratings")) == sorted(rows(again, "ratings")) == ratings
    for kind in ("accounts", "answers"):
        assert sorted(rows(out, kind), key=str) == sorted(rows(again, kind), key=str)
    assert (
        interactions_of([out])
        == interactions_of([again])
        == interactions_of(whole)
        == interactions_of([*parts, out])
    )


def test_same_lines_are_the_same_bytes(ingest_texts, tmp_path):
    """Ingested again, twice, or shuffled: not a byte differs, and no other file is left."""
    lines = []
    for n in range(900):
        begin = f"2026-03-0{n % 3 + 1}T10:{n % 60:02},{n * 37 % 50},"
        answer = f"recommendation request h{n % 7}:1, status 200, result: m{n % 9}, 9 ms"
        lines += [f"{begin}GET /data/m/m{n % 9}/{n % 5}.mpg\n", f"{begin}GET /rate/m{n % 9}=4\n"]
        lines += [f"{begin}GET /create_account\n", f"{begin}{answer}\n"]
    ingest_texts("".join(lines))
    before = files(tmp_path / "events")
    ingest_texts("".join(lines), "".join(lines))
    assert files(tmp_path / "events") == before
    random.Random(1).shuffle(lines)
    ingest_texts("".join(lines), out=tmp_path / "other")
    assert files(tmp_path / "other") == before
    types = ["accounts", "answers", "ratings", "views"]
    assert sorted(path.name for path in (tmp_path / "events").iterdir()) == [".lock", *types]


def test_days_without_new_lines_are_not_rewritten(ingest_texts, tmp_path):
    """A log of one day does not rewrite the files of other days."""
    line = "2026-03-0{},7,GET /data/m/m/1.mpg\n".format
    ingest_texts(line("1T10:00") + line("2T10:00"))
    first = tmp_path / "events/views/date=2026-03-01/views-2026-03-01.parquet"
    node = first.stat().st_ino
    ingest_texts(line("2T11:00"))
    assert first.stat().st_ino == node
    assert [row[-2:] for row in rows(tmp_path / "events", "views")] == [
        (at("2026-03-01T10:00"), at("2026-03-01T10:00")),
        (at("2026-03-02T10:00"), at("2026-03-02T11:00")),
    ]


def test_parts_of_a_large_day_hold_every_user_once(ingest_texts, tmp_path):
    """A day that is merged in parts has each row in exactly one of them."""
    n = 3_000
    text = "".join(f"2026-03-01T10:00,{user},GET /data/m/m/{user % 9}.mpg\n" for user in range(n))
    ingest_texts(text, **sizes(1 << 14, 1 << 16, 500))
    (path,) = (tmp_path / "events").rglob("*.parquet")
    assert pq.ParquetFile(path).num_row_groups > 3
    assert sorted(int(row[1]) for row in rows(tmp_path / "events", "views")) == list(range(n))


# --- faults -------------------------------------------------------------------------------

GOOD = "2026-03-01T10:00,7,GET /data/m/m/1.mpg\n"


def test_too_many_rejected_lines_leave_the_partitions_unchanged(ingest_texts, tmp_path):
    """If the second log has too many broken lines, the first one is not ingested either."""
    ingest_texts(GOOD)
    before = files(tmp_path / "events")
    later = GOOD.replace("/1.", "/9.") * 30
    with pytest.raises(RejectedError, match=r"1\.log"):
        ingest_texts(later, later + "x\n" * 30, max_rejected_share=0.05)
    assert files(tmp_path / "events") == before


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


@pytest.mark.parametrize("n_renames", range(4))
def test_power_cut_leaves_whole_days_and_is_completed(
    ingest_texts, tmp_path, monkeypatch, n_renames
):
    """After any rename each day is old or new, and ingesting the log again completes them."""
    text = "".join(f"2026-03-0{day}T10:00,7,GET /data/m/m/{{}}.mpg\n" for day in range(1, 5))
    ingest_texts(text.format(*[1] * 4))
    rename, remaining = Path.replace, iter(range(n_renames))

    def cut(self, target):
        if next(remaining, None) is None:
            raise PowerCut
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        with pytest.raises(PowerCut):
            ingest_texts(text.format(*[9] * 4))
    minutes = [row[3] for row in rows(tmp_path / "events", "views")]
    assert minutes == [9] * n_renames + [1] * (4 - n_renames)
    ingest_texts(text.format(*[9] * 4))
    assert [row[3] for row in rows(tmp_path / "events", "views")] == [9] * 4


def test_files_of_a_killed_ingest_are_ignored_and_removed(ingest_texts, tmp_path):
    """Rows in the hidden folder of a killed run are neither read nor merged."""
    ingest_texts(GOOD)
    before = files(tmp_path / "events")
    run_file = tmp_path / "events" / ".pending" / "runs" / "views" / "2026-03-01" / "7.parquet"
    run_file.parent.mkdir(parents=True)
    pd.DataFrame({"user_id": ["1"], "item_id": ["left"]}).to_parquet(run_file)
    assert read_all([tmp_path / "events"]).views["item_id"].to_pylist() == ["m"]
    ingest_texts(GOOD)
    assert files(tmp_path / "events") == before


def test_two_ingests_at_once_do_not_mix(ingest_texts, tmp_path):
    """While one process writes, a second one fails and changes nothing."""
    ingest_texts(GOOD)
    before = files(tmp_path / "events")
    with open_partitions(tmp_path / "events"), pytest.raises(BatchError, match="another process"):
        ingest_texts(GOOD.replace("/1.", "/9."))
    assert files(tmp_path / "events") == before


def test_full_disk_is_an_error_and_leaves_the_partitions_unchanged(ingest_texts, tmp_path):
    """With files limited to 4 KiB the command fails with a reason, and the old days stay."""
    ingest_texts(GOOD)
    before = files(tmp_path / "events")
    rng = random.Random(1)
    log = tmp_path / "large.log"
    log.write_text(
        "".join(
            f"2026-03-01T10:00,{rng.randrange(10**9)},GET /data/m/m/1.mpg\n" for _ in range(9_000)
        )
    )
    command = f"{sys.executable} -m batch ingest --events {log} --out {tmp_path / 'events'}"
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 4; exec {command}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "events cannot be written" in done.stderr
    assert files(tmp_path / "events") == before


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", None])
def test_damaged_partition_is_an_error_with_a_remedy(ingest_texts, tmp_path, damage):
    """A truncated file of a day stops the ingest of that day; the error has its path."""
    ingest_texts(GOOD)
    (path,) = (tmp_path / "events").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    with pytest.raises(InputError, match=r"views-2026-03-01.parquet.*remove it"):
        ingest_texts(GOOD)


def test_only_logs_are_ingested(ingest_texts, tmp_path):
    """Ratings, pairs and Parquet are refused; the error says what to do instead."""
    ingest_texts(GOOD)
    settings = event_settings(tmp_path / "events", quarantine=tmp_path)
    with pytest.raises(InputError, match="give it to a refresh"):
        ingest(settings, tmp_path / "other")
    with pytest.raises(InputError, match="known kinds: stream log"):
        ingest_texts("1\tm\n")
    with pytest.raises(InputError, match="none given"):
        ingest(BatchSettings(quarantine=str(tmp_path)), tmp_path / "other")
    assert not list((tmp_path / "events").rglob("date=1970*"))


# --- real log -----------------------------------------------------------------------------


def test_real_noisy_log_gives_the_same_interactions_through_partitions(shared_data, tmp_path):
    """A refresh builds the same interactions from partitions and from the 50,000 real lines."""
    log = shared_data / "stream" / "kafka-2022-11-noisy-50k.log"
    settings = event_settings(log, quarantine=tmp_path / "quarantine", max_rejected_share=0.05)
    done = ingest(settings, tmp_path / "events")
    assert (done.n_lines, sum(done.rejected.values())) == (50_000, 51)
    assert (done.rows["ratings"], done.rows["answers"]) == (266, 425)
    assert interactions_of([tmp_path / "events"]) == interactions_of([log])
    shown = [row[5] for row in rows(tmp_path / "events", "answers") if row[4] == 200]
    assert np.mean([len(items.split(",")) == 20 for items in shown]) > 0.9
