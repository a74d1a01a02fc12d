"""Ingest: whatever the lines, their order and their files, the days hold the same, whole."""

import contextlib
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
from batch.events import lines as lines_module
from batch.events import partitions as partitions_module
from batch.events.ingest import ingest
from batch.events.kinds import kinds
from batch.events.partitions import partitions
from batch.events.quarantine import Quarantine
from batch.events.read import read_events
from batch.interactions.build import build_interactions
from batch.settings import BatchSettings

KNOWN = kinds(BatchSettings().user_pattern, BatchSettings().item_pattern)
LARGEST = 10**6


@pytest.fixture
def bring(tmp_path):
    """Write texts to a log each and ingest them together."""

    def bring(*texts, out=tmp_path / "events", max_rejected_share=1.0):
        logs = []
        for number, text in enumerate(texts):
            logs.append(tmp_path / f"{number}.log")
            logs[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        given = BatchSettings(
            events=tuple(map(str, logs)),
            quarantine=str(tmp_path / "quarantine"),
            max_rejected_share=max_rejected_share,
        )
        return ingest(given, out)

    return bring


def files(folder):
    """Return every file of the partitions and its bytes; locks are none."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def rows(folder, kind):
    """Return the rows of one kind, each with the day of its folder."""
    return [
        (path.parent.name.removeprefix("date="), *row.values())
        for path in sorted((folder / kind).rglob("*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]


def at(text):
    return datetime.datetime.fromisoformat(text)


# --- what stands where --------------------------------------------------------------------


def test_views_are_one_row_a_user_item_and_day(bring, tmp_path):
    """The furthest minute, the first and the last time of each day; midnight parts a view."""
    bring(
        "2026-03-01T23:58:07,7,GET /data/m/heat+1995/9.mpg\n"
        "2026-03-01T23:59,7,GET /data/m/heat+1995/10.mpg\n"
        "2026-03-02T00:00:07.426,7,GET /data/m/heat+1995/11.mpg\n"
        "2026-03-01T10:00,7,GET /data/m/heat+1995/170.mpg\n"
    )
    assert rows(tmp_path / "events", "views") == [
        ("2026-03-01", "7", "heat+1995", 170, at("2026-03-01T10:00"), at("2026-03-01T23:59")),
        ("2026-03-02", "7", "heat+1995", 11, *[at("2026-03-02T00:00:07")] * 2),
    ]


def test_ratings_accounts_and_answers_have_days_of_their_own(bring, tmp_path):
    """Every rating is kept with its time; answers keep what was shown, or why nothing was."""
    begin = "2026-03-01T10:00:01.5,7,recommendation request host:8082, status"
    bring(
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


def test_columns_are_those_that_are_promised(bring, tmp_path):
    """Ids are dictionary-encoded, times are times, and any reader of Parquet knows them."""
    bring("2026-03-01T10:00,7,GET /data/m/m/1.mpg\n2026-03-01T10:00,7,GET /rate/m=3\n")
    path = tmp_path / "events" / "views" / "date=2026-03-01" / "views-2026-03-01.parquet"
    file = pq.ParquetFile(path)
    assert file.schema_arrow.names == ["user_id", "item_id", "minutes", "first_at", "last_at"]
    encodings = file.metadata.row_group(0).column(1).encodings
    assert "RLE_DICTIONARY" in encodings
    frame = pd.read_parquet(tmp_path / "events" / "views")
    assert frame["first_at"].dtype.kind == "M"
    assert frame["date"].astype(str).tolist() == ["2026-03-01"]


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"])
def test_strange_days_are_days(bring, tmp_path, day):
    """A time of noise, but real, has its own day, and is read back as it was."""
    bring(f"{day}T23:59:59,7,GET /data/m/m/1.mpg\n{day}T23:59:59,7,GET /rate/m=3\n")
    assert rows(tmp_path / "events", "views") == [(day, "7", "m", 1, *[at(f"{day}T23:59:59")] * 2)]
    events = read_all([tmp_path / "events"])
    seconds = (at(f"{day}T23:59:59") - at("1970-01-01")) // datetime.timedelta(seconds=1)
    assert events.views["first_at"].to_pylist() == events.ratings["at"].to_pylist() == [seconds]


# --- against a plain model ----------------------------------------------------------------

_EVENT = re.compile(
    r"(\S{16})(?::(\d\d))?(?:\.\d+)?,(\d+),GET /(data/m|rate)/([^/=]+)[/=](\d+)(?:\.mpg)?"
)


def by_hand(lines):
    """Return the rows of views and ratings, line by line."""
    views, ratings = defaultdict(list), set()
    for line in lines:
        if not (found := _EVENT.fullmatch(line)):
            continue
        minute, second, user, kind, item, digits = found.groups()
        number, moment = (
            int(digits) if len(digits) <= 6 else LARGEST,
            at(minute + f":{second or '00'}"),
        )
        if kind == "rate":
            ratings.add((str(moment.date()), user, item, float(number), moment))
        else:
            views[str(moment.date()), user, item].append((number, moment))
    return (
        sorted(
            (*key, max(n for n, _ in seen), min(m for _, m in seen), max(m for _, m in seen))
            for key, seen in views.items()
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
        # A first sound line, so that a part of nothing but noise is a log too.
        paths[-1].write_text("".join(f"{line}\n" for line in [KEY, *lines]))
    return tuple(map(str, paths))


KEY = "2026-03-01T12:00,7,GET /data/m/m/0.mpg"


def read_all(paths):
    with (
        tempfile.TemporaryDirectory() as refused,  # beside the files others' data would get it
        Quarantine(Path(refused), "now", 30) as quarantine,
    ):
        return read_events([Path(path) for path in paths], KNOWN, quarantine, 1.0)


def learnt(paths):
    """Return all that a refresh would learn from files of events."""
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


@contextlib.contextmanager
def sizes(block_bytes, run_bytes, merge_rows):
    """Read, gather and merge so much at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_BLOCK_BYTES", block_bytes)
        patch.setattr(partitions_module, "_RUN_BYTES", run_bytes)
        patch.setattr(partitions_module, "_MERGE_ROWS", merge_rows)
        yield


@settings(max_examples=40, deadline=None)
@given(
    history=histories,
    data=st.data(),
    small=st.sampled_from([(1 << 23, 1 << 26, 10**6), (200, 0, 3), (64, 2000, 1)]),
)
def test_order_cuts_overlaps_and_repetitions_change_nothing(tmp_path_factory, history, data, small):
    """Lines shuffled, cut into files that overlap, ingested in two goes and once more:
    the partitions are those of a plain reading, and a refresh learns what the logs teach."""
    folder = tmp_path_factory.mktemp("property")
    whole = write_logs(folder / "whole", [history])
    shuffled = data.draw(st.permutations(history))
    cut, overlap = data.draw(st.integers(0, len(history))), data.draw(st.integers(0, 5))
    parts = write_logs(folder / "parts", [shuffled[: cut + overlap], shuffled[cut:]])
    out, again = folder / "out", folder / "once"
    with sizes(*small):
        for goes in (parts[:1], parts[1:], parts):
            ingest(BatchSettings(events=goes, quarantine=str(folder), max_rejected_share=1.0), out)
    ingest(BatchSettings(events=whole, quarantine=str(folder), max_rejected_share=1.0), again)
    views, ratings = by_hand([KEY, *history])
    assert sorted(rows(out, "views")) == sorted(rows(again, "views")) == views
    assert sorted(rows(out, "ratings")) == sorted(rows(again, "ratings")) == ratings
    for kind in ("accounts", "answers"):
        assert sorted(rows(out, kind), key=str) == sorted(rows(again, kind), key=str)
    assert learnt([out]) == learnt([again]) == learnt(whole) == learnt([*parts, out])


def test_same_lines_are_the_same_bytes(bring, tmp_path):
    """Ingested again, twice, or shuffled elsewhere: not a byte differs, and nothing lies about."""
    lines = []
    for n in range(900):
        begin = f"2026-03-0{n % 3 + 1}T10:{n % 60:02},{n * 37 % 50},"
        answer = f"recommendation request h{n % 7}:1, status 200, result: m{n % 9}, 9 ms"
        lines += [f"{begin}GET /data/m/m{n % 9}/{n % 5}.mpg\n", f"{begin}GET /rate/m{n % 9}=4\n"]
        lines += [f"{begin}GET /create_account\n", f"{begin}{answer}\n"]
    bring("".join(lines))
    before = files(tmp_path / "events")
    bring("".join(lines), "".join(lines))
    assert files(tmp_path / "events") == before
    random.Random(1).shuffle(lines)
    bring("".join(lines), out=tmp_path / "other")
    assert files(tmp_path / "other") == before
    kinds = ["accounts", "answers", "ratings", "views"]
    assert sorted(path.name for path in (tmp_path / "events").iterdir()) == [".lock", *kinds]


def test_days_without_new_lines_are_not_touched(bring, tmp_path):
    """A log of one day leaves the files of the others as they are."""
    line = "2026-03-0{},7,GET /data/m/m/1.mpg\n".format
    bring(line("1T10:00") + line("2T10:00"))
    first = tmp_path / "events/views/date=2026-03-01/views-2026-03-01.parquet"
    node = first.stat().st_ino
    bring(line("2T11:00"))
    assert first.stat().st_ino == node
    assert [row[-2:] for row in rows(tmp_path / "events", "views")] == [
        (at("2026-03-01T10:00"), at("2026-03-01T10:00")),
        (at("2026-03-02T10:00"), at("2026-03-02T11:00")),
    ]


def test_parts_of_a_large_day_hold_every_user_once(bring, tmp_path):
    """A day that is merged part by part has each row in exactly one of them."""
    n = 3_000
    text = "".join(f"2026-03-01T10:00,{user},GET /data/m/m/{user % 9}.mpg\n" for user in range(n))
    with sizes(1 << 14, 1 << 16, 500):
        bring(text)
    (path,) = (tmp_path / "events").rglob("*.parquet")
    assert pq.ParquetFile(path).num_row_groups > 3
    assert sorted(int(row[1]) for row in rows(tmp_path / "events", "views")) == list(range(n))


# --- what goes wrong ----------------------------------------------------------------------

GOOD = "2026-03-01T10:00,7,GET /data/m/m/1.mpg\n"


def test_too_many_rejected_lines_leave_the_partitions_as_they_were(bring, tmp_path):
    """The second log is too broken: of the first one, too, nothing is taken."""
    bring(GOOD)
    before = files(tmp_path / "events")
    later = GOOD.replace("/1.", "/9.") * 30
    with pytest.raises(RejectedError, match=r"1\.log"):
        bring(later, later + "x\n" * 30, max_rejected_share=0.05)
    assert files(tmp_path / "events") == before


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


@pytest.mark.parametrize("n_renames", range(4))
def test_power_cut_leaves_whole_days_and_is_made_good(bring, tmp_path, monkeypatch, n_renames):
    """Whichever rename it hits: each day is old or new, and the same log again mends all."""
    text = "".join(f"2026-03-0{day}T10:00,7,GET /data/m/m/{{}}.mpg\n" for day in range(1, 5))
    bring(text.format(*[1] * 4))
    rename, left = Path.replace, iter(range(n_renames))

    def cut(self, target):
        if next(left, None) is None:
            raise PowerCut
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        with pytest.raises(PowerCut):
            bring(text.format(*[9] * 4))
    minutes = [row[3] for row in rows(tmp_path / "events", "views")]
    assert minutes == [9] * n_renames + [1] * (4 - n_renames)
    bring(text.format(*[9] * 4))
    assert [row[3] for row in rows(tmp_path / "events", "views")] == [9] * 4


def test_what_a_killed_ingest_left_is_no_event_and_swept(bring, tmp_path):
    """Rows that a killed run had put aside are neither read nor merged."""
    bring(GOOD)
    before = files(tmp_path / "events")
    aside = tmp_path / "events" / ".pending" / "runs" / "views" / "2026-03-01" / "7.parquet"
    aside.parent.mkdir(parents=True)
    pd.DataFrame({"user_id": ["1"], "item_id": ["left"]}).to_parquet(aside)
    assert read_all([tmp_path / "events"]).views["item_id"].to_pylist() == ["m"]
    bring(GOOD)
    assert files(tmp_path / "events") == before


def test_two_ingests_at_once_do_not_mix(bring, tmp_path):
    """While one process writes, another is told so and changes nothing."""
    bring(GOOD)
    before = files(tmp_path / "events")
    with partitions(tmp_path / "events"), pytest.raises(BatchError, match="another process"):
        bring(GOOD.replace("/1.", "/9."))
    assert files(tmp_path / "events") == before


def test_full_disk_is_told_and_leaves_the_partitions_as_they_were(bring, tmp_path):
    """No file may grow beyond 4 KiB: the command fails, says why, and the old days stand."""
    bring(GOOD)
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
def test_damaged_partition_is_told_with_a_way_out(bring, tmp_path, damage):
    """A day's file that is torn stops the ingest of that day, by name."""
    bring(GOOD)
    (path,) = (tmp_path / "events").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    with pytest.raises(InputError, match=r"views-2026-03-01.parquet.*remove it"):
        bring(GOOD)


def test_only_logs_are_ingested(bring, tmp_path):
    """Ratings, pairs and Parquet have no days of a log: they are refused, with the way out."""
    bring(GOOD)
    given = BatchSettings(events=(str(tmp_path / "events"),), quarantine=str(tmp_path))
    with pytest.raises(InputError, match="a refresh reads it as it is"):
        ingest(given, tmp_path / "other")
    with pytest.raises(InputError, match="known kinds: stream log"):
        bring("1\tm\n")
    with pytest.raises(InputError, match="none given"):
        ingest(BatchSettings(quarantine=str(tmp_path)), tmp_path / "other")
    assert not list((tmp_path / "events").rglob("date=1970*"))


# --- the real thing -----------------------------------------------------------------------


def test_real_noisy_log_teaches_the_same_by_way_of_the_partitions(shared_data, tmp_path):
    """The refresh learns from the partitions what it learns from the 50,000 real lines."""
    log = shared_data / "stream" / "kafka-2022-11-noisy-50k.log"
    given = BatchSettings(events=(str(log),), quarantine=str(tmp_path / "quarantine"))
    done = ingest(given, tmp_path / "events")
    assert (done.n_lines, sum(done.rejected.values())) == (50_000, 51)
    assert (done.rows["ratings"], done.rows["answers"]) == (266, 425)
    assert learnt([tmp_path / "events"]) == learnt([log])
    shown = [row[5] for row in rows(tmp_path / "events", "answers") if row[4] == 200]
    assert np.mean([len(items.split(",")) == 20 for items in shown]) > 0.9
