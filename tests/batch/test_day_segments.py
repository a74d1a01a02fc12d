"""Segments beside a day's file: readers take both as one, folded or not."""

from pathlib import Path

import pytest

from batch.events.day_files import EVENT_TYPES, DayFile, rows_by_day, write_rows
from batch.events.ingest import ingest
from batch.events.kinds import stream_log
from batch.events.lines import split_lines
from batch.events.partitions import open_partitions, partition_files
from batch.events.positions import Positions, merge_ranges
from batch.events.read import read_events
from batch.events.readers import reading, without_readers
from tests.batch.event_files import BEGAN_AT, event_settings, outcome

LINES = (
    b"2026-03-01T10:00,7,GET /data/m/heat+1995/9.mpg\n"
    b"2026-03-01T10:01,7,GET /data/m/heat+1995/10.mpg\n"
    b"2026-03-01T11:00,7,GET /rate/heat+1995=5\n"
    b"2026-03-01T11:00,8,GET /create_account\n"
)
POSITIONS = Positions({"kafka:t#1 0": ((0, 3),)}, {"kafka:t#1": ("cluster", "topic")})


def write_segment(folder, lines, number):
    parsed = stream_log(r"\d+", r"[a-z0-9+]+").parse(split_lines(lines))
    for kind in EVENT_TYPES:
        for day, rows in rows_by_day(kind, [getattr(parsed, kind.name)]):
            path = DayFile(kind, day, number).path(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(kind, path, [rows], POSITIONS)


def read(folder):
    settings = event_settings(folder, quarantine=folder.parent / "quarantine")
    return read_events(settings, BEGAN_AT).events


@pytest.fixture
def ingested(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(LINES)
    ingest(event_settings(log, quarantine=tmp_path / "quarantine"), tmp_path / "events")
    return tmp_path / "events"


@pytest.mark.parametrize("numbers", [(1,), (1, 2)])
def test_a_segment_that_the_day_contains_changes_nothing(ingested, numbers):
    """A crash between folding and removal leaves it there."""
    before = outcome(read(ingested))
    for number in numbers:
        write_segment(ingested, LINES, number)
    assert outcome(read(ingested)) == before


def test_a_segment_with_other_rows_adds_them(ingested):
    """The twin: a later minute, another rating and another account are read."""
    more = LINES.replace(b"/10.mpg", b"/12.mpg").replace(b"=5", b"=4").replace(b",8,", b",9,")
    write_segment(ingested, more, 1)
    views, ratings, n_accounts, _ = outcome(read(ingested))
    assert [view[:3] for view in views] == [("7", "heat+1995", 12)]
    assert [rating[2] for rating in ratings] == [4.0, 5.0]
    assert n_accounts == 2


def test_every_file_is_a_source(ingested):
    """The manifest names and hashes each."""
    write_segment(ingested, LINES, 1)
    names = [source.path.name for source in read(ingested).sources]
    assert "views-2026-03-01.parquet" in names
    assert "views-2026-03-01.s000000001.parquet" in names


def test_a_log_that_is_named_twice_is_two_files(tmp_path):
    """Only the files of a day belong together."""
    log = tmp_path / "a.log"
    log.write_bytes(LINES)
    settings = event_settings(log, log, quarantine=tmp_path / "quarantine")
    assert len(read_events(settings, BEGAN_AT).events.sources) == 2


def test_positions_survive_an_ingest_into_the_day(tmp_path):
    """The day's file keeps what its metadata says when rows are merged into it."""
    events, log = tmp_path / "events", tmp_path / "a.log"
    write_segment(events, LINES, None)
    log.write_bytes(LINES.replace(b"/10.mpg", b"/12.mpg"))
    ingest(event_settings(log, quarantine=tmp_path / "quarantine"), events)
    day = events / "views" / "date=2026-03-01" / "views-2026-03-01.parquet"
    assert Positions.of_file(day) == POSITIONS
    assert read(events).views["minute"].to_pylist() == [12]


def test_a_user_is_removed_from_segments_too(ingested):
    """A segment that had nobody else stays as an empty file: the ledger names it."""
    write_segment(ingested, LINES, 1)
    with open_partitions(ingested) as partitions:
        removed = partitions.forget(["7", "8"], lambda _user: None)
    assert removed == {"views": 2, "ratings": 2, "accounts": 2}
    segments = [path.name for path in partition_files(ingested)]
    assert segments == [
        f"{kind}-2026-03-01.s000000001.parquet" for kind in ("views", "ratings", "accounts")
    ]
    assert Positions.of_file(partition_files(ingested)[0]) == POSITIONS
    assert outcome(read(ingested)) == ([], [], 0, 0)


def test_names():
    kind = EVENT_TYPES[0]
    for file in (DayFile(kind, "2026-03-01"), DayFile(kind, "2026-03-01", 1234567890)):
        assert DayFile.of(file.path(Path("events"))) == file


@pytest.mark.parametrize(
    ("ranges", "merged"),
    [
        ([(5, 9), (0, 4)], ((0, 9),)),
        ([(0, 4), (6, 9)], ((0, 4), (6, 9))),
        ([(0, 9), (3, 4)], ((0, 9),)),
        ([], ()),
    ],
)
def test_ranges(ranges, merged):
    assert merge_ranges(ranges) == merged


def test_nothing_is_removed_while_a_refresh_reads(tmp_path):
    """And once it has ended, it may be."""
    with without_readers(tmp_path) as is_free:
        assert is_free
    with reading([str(tmp_path)]), without_readers(tmp_path) as is_free:
        assert not is_free
    with without_readers(tmp_path) as is_free:
        assert is_free
