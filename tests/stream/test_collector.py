"""The collector's loop, on files: what it takes, when it flushes, and what it does without room."""

import errno
import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from batch.events.partitions import locked_for_writing
from batch.events.readers import reading
from benchmarks.harness.servers import free_port
from serve.pages.collector import collector as collector_page
from store.errors import PortError
from store.stop import StopRequest
from stream.__main__ import main
from stream.collect import flush, retention
from stream.collect.folder import CollectorFolder
from stream.collect.folding import fold_days, n_segments
from stream.errors import FencedError, LedgerError, StreamError
from tests.stream.collecting import (
    all_rows,
    bulk_rows,
    check_nothing_lost,
    collect_all,
    collect_files,
    ledger_state,
    made_lines,
    opened,
    quarantined,
    stream_settings,
)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "events.log"


def append(path, lines, end=b"\n"):
    with path.open("ab") as file:
        file.write(b"".join(line + end for line in lines))


# --- files -------------------------------------------------------------------------------------


def test_a_growing_file_is_followed_by_whole_lines(tmp_path, log):
    lines = made_lines(90, n_broken=5)
    append(log, lines[:30])
    with opened(tmp_path, [log]) as (collector, _):
        append(log, [lines[30]], end=b"")
        collect_all(collector)
        assert collector.n_held == 30
        append(log, [b"", *lines[31:]])
        collect_all(collector)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


@pytest.mark.parametrize("rotated", ["events.log.1", "events.000001.log"])
def test_a_rotated_file_is_read_to_its_end(tmp_path, log, rotated):
    """While the collector runs, and while it does not."""
    lines = made_lines(120)
    append(log, lines[:30])
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        append(log, lines[30:60])
        log.rename(tmp_path / rotated)
        append(log, lines[60:90])
        collect_all(collector)
        collector.flush()
    append(log, lines[90:])
    log.rename(tmp_path / "events.log.2")
    collect_files(tmp_path, log)
    check_nothing_lost(tmp_path, lines)


def test_a_file_that_was_cut_short_is_read_from_its_beginning(tmp_path, log):
    """Even if it begins with the same line."""
    lines = made_lines(60)
    append(log, lines[:40])
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        log.write_bytes(b"")
        append(log, [lines[0], *lines[40:]])
        collect_all(collector)
        collector.flush()
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]
    assert ledger_state(tmp_path).accepted == 61


def test_a_line_that_is_too_long_is_quarantined_and_passed_over(tmp_path, log):
    """Ten megabytes without a line end, and good lines before and behind."""
    lines = made_lines(20)
    append(log, [*lines[:10], b"x" * 10_000_000, *lines[10:]])
    collect_files(tmp_path, log)
    state = ledger_state(tmp_path)
    assert (state.accepted, state.quarantined) == (20, 1)
    [(reason, _, position, text)] = quarantined(tmp_path)
    assert reason == b"line is too long"
    assert int(position) == sum(len(line) + 1 for line in lines[:10])
    assert len(text) < 2000
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]


def test_odd_lines_are_those_of_the_bulk_parser(tmp_path, log):
    """CRLF, blank, NUL, invalid UTF-8, dates of the past and the future."""
    odd = [b"", b" ", b"\0\0", b"\xff\xfe", b"a,b", b"2026-02-30T10:00,1,GET /rate/m=1"]
    lines = [*made_lines(20), *odd, b"1970-01-01T00:00,1,GET /rate/m=1", made_lines(1)[0] + b"\r"]
    lines.append(b"2999-01-01T00:00:00,1,GET /data/m/m/1.mpg")
    append(log, lines)
    collect_files(tmp_path, log)
    check_nothing_lost(tmp_path, lines)


def test_the_real_noisy_log_gives_the_counts_of_the_bulk_parser(shared_data, tmp_path):
    """50,000 real lines, 51 of them broken, in several segments."""
    real = shared_data / "stream" / "kafka-2022-11-noisy-50k.log"
    lines = real.read_bytes().split(b"\n")[:-1]
    log = tmp_path / "real.log"
    log.write_bytes(real.read_bytes())
    collect_files(tmp_path, log, flush_lines=7000)
    state = ledger_state(tmp_path)
    assert (state.accepted, state.quarantined) == (49_949, 51)
    assert state.number > 2
    check_nothing_lost(tmp_path, lines)


def test_late_lines_reach_their_closed_day(tmp_path, log):
    """The day was folded: its file and the new segment are read as one, then folded again."""
    lines = made_lines(80)
    append(log, lines[:40])
    folder = CollectorFolder(tmp_path / "events")
    rest: list[bytes] = []
    for part in (lines[40:], rest):
        with opened(tmp_path, [log]) as (collector, _):
            collect_all(collector)
            collector.flush()
            fold_days(folder, collector.ledger, stream_settings(tmp_path), all_days=True)
        append(log, part)
    assert n_segments(folder.events) == 0
    check_nothing_lost(tmp_path, lines)


# --- when it flushes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limit", [{"flush_lines": 10}, {"flush_mib": 0.0001}, {"flush_seconds": 0.001}]
)
def test_each_limit_makes_a_flush(tmp_path, log, limit):
    """By lines, by size, and by time: the last, so that an idle log is flushed too."""
    append(log, made_lines(50))
    with opened(tmp_path, [log], **limit) as (collector, _):
        collector.step()
        time.sleep(0.002)
        collector.step()
        assert collector.n_held == 0
    assert ledger_state(tmp_path).accepted == 50


def test_below_every_limit_nothing_is_flushed(tmp_path, log):
    append(log, made_lines(50))
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        assert collector.n_held == 50
    assert ledger_state(tmp_path).accepted == 0


# --- one writer, no room -------------------------------------------------------------------------


def test_two_collectors_on_one_directory(tmp_path, log):
    with (
        opened(tmp_path, [log]),
        pytest.raises(FencedError, match="another collector is running"),
        opened(tmp_path, [log]),
    ):
        pass


@pytest.mark.parametrize(
    ("step", "number"),
    [("write_rows", errno.ENOSPC), ("fsync_path", errno.ENOSPC), ("fsync_path", errno.EIO)],
)
def test_a_failing_disk_pauses_and_loses_nothing(tmp_path, log, monkeypatch, step, number):
    """Nothing is taken in while a flush fails; afterwards all of it is written anew, once."""
    lines = made_lines(100, n_broken=4)
    append(log, lines[:60])
    with opened(tmp_path, [log], flush_lines=10) as (collector, _):

        def fail(*_args, **_named):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(flush, step, fail)
            collector.step()
            append(log, lines[60:])
            collector.step()
            assert (collector.n_held, ledger_state(tmp_path).number) == (60, 0)
            assert not [*CollectorFolder(tmp_path / "events").pending.iterdir()]
        collector._retry_at = 0.0
        collector.step()
        collect_all(collector)
        collector.flush()
    check_nothing_lost(tmp_path, lines)


def test_a_rename_that_fails_ends_the_collector_and_is_done_by_the_next(tmp_path, log, monkeypatch):
    """The ledger has the flush already: it must not be tried again as another one."""
    lines = made_lines(50)
    append(log, lines)
    with opened(tmp_path, [log]) as (collector, _), monkeypatch.context() as patch:

        def no_room(*_args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        collect_all(collector)
        patch.setattr(flush, "move_into_place", no_room)
        with pytest.raises(LedgerError, match="cannot be renamed into place"):
            collector.flush()
    with opened(tmp_path, [log]):
        check_nothing_lost(tmp_path, lines)


def test_partitions_that_are_taken_away_are_flushed_if_there_is_time(tmp_path, log):
    """And left to their next owner if there is not."""
    append(log, made_lines(50))
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        keys = [*collector._buffers]
        collector._flush_seconds = 1.0
        collector.flush_partitions(keys, 0.5)
        assert (collector.n_held, ledger_state(tmp_path).accepted) == (0, 0)
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        collector.flush_partitions([*collector._buffers], 0.5)
        assert (collector.n_held, ledger_state(tmp_path).accepted) == (0, 50)


def test_with_little_space_answers_are_dropped_and_then_text(tmp_path, log, monkeypatch):
    """Below the limit answers, below half of it the text of bad lines; views are always kept."""
    lines = made_lines(100, n_broken=4)
    append(log, lines)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=400 << 20))
    collect_files(tmp_path, log, min_free_mib=1000.0)
    rows, wanted = all_rows(tmp_path / "events"), bulk_rows(tmp_path, lines)[0]
    assert (rows["answers"], rows["views"]) == ([], wanted["views"])
    assert ledger_state(tmp_path).quarantined == 4
    assert quarantined(tmp_path) == []


# --- folding and retention -----------------------------------------------------------------------


def test_segments_are_folded_when_there_are_many(tmp_path, log):
    settings = stream_settings(tmp_path, fold_segments=2, fold_minutes=60.0)
    folder = CollectorFolder(tmp_path / "events")
    lines = [line for line in made_lines(400) if line.startswith(b"2026-03-01")]
    half = len(lines) // 2
    with opened(tmp_path, [log]) as (collector, _):
        for part, n_folded in ((lines[:half], 0), (lines[half:], 8)):
            append(log, part)
            collect_all(collector)
            collector.flush()
            assert fold_days(folder, collector.ledger, settings) == n_folded
    check_nothing_lost(tmp_path, lines)


@pytest.mark.parametrize("holder", ["refresh", "ingest"])
def test_folding_waits_for_others(tmp_path, log, holder):
    """For a refresh that reads the segments, and for an ingest that writes the days."""
    append(log, made_lines(50))
    folder = CollectorFolder(tmp_path / "events")
    hold = {
        "refresh": lambda: reading([str(folder.events)]),
        "ingest": lambda: locked_for_writing(folder.events),
    }[holder]
    settings = stream_settings(tmp_path)
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        collector.flush()
        fold_days(folder, collector.ledger, settings)
        with hold():
            assert fold_days(folder, collector.ledger, settings, all_days=True) == 0
        assert fold_days(folder, collector.ledger, settings, all_days=True) > 0


def by_size(tmp_path):
    sizes = [path.stat().st_size for path in (tmp_path / "events").glob("*/date=2026-03-03/*")]
    return {"max_bytes": sum(sizes) + 10}


@pytest.mark.parametrize("limit", [lambda _: {"keep_days": 1.0}, by_size])
def test_old_days_are_removed_and_their_hashes_stay(tmp_path, log, limit):
    """By age and by size; the newest day always stays, and a future date is not the newest."""
    append(log, [*made_lines(300), b"2999-01-01T00:00:00,1,GET /create_account"])
    collect_files(tmp_path, log)
    settings = stream_settings(tmp_path, **limit(tmp_path))
    with opened(tmp_path, [log]) as (collector, _):
        folder = CollectorFolder(tmp_path / "events")
        removed = retention.remove_old_days(folder, collector.ledger, settings)
    days = {path.parent.name for path in (tmp_path / "events").glob("*/date=*/*")}
    assert "date=2026-03-01" not in days
    assert "date=2026-03-03" in days
    kept = [json.loads(line) for line in folder.removed.read_text().splitlines()]
    assert {entry["path"].split("/")[1] for entry in kept} == {f"date={old.day}" for old in removed}
    assert all(len(entry["sha256"]) == 64 and entry["rows"] > 0 for entry in kept)


def test_without_a_limit_nothing_is_removed(tmp_path, log):
    append(log, made_lines(300))
    collect_files(tmp_path, log)
    before = all_rows(tmp_path / "events")
    settings = stream_settings(tmp_path, keep_days=3.0)
    with opened(tmp_path, [log]) as (collector, _):
        folder = CollectorFolder(tmp_path / "events")
        assert retention.remove_old_days(folder, collector.ledger, settings) == []
    assert all_rows(tmp_path / "events") == before


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "marquee.toml"
    path.write_text(
        f'[stream]\nfiles = ["{tmp_path / "events.log"}"]\nevents = "{tmp_path / "events"}"\n'
    )
    return path


def test_status_says_how_far_it_is(tmp_path, log, config, capsys):
    append(log, made_lines(100, n_broken=3))
    collect_files(tmp_path, log)
    assert main(["status", "--config", str(config), "--json"]) == 1
    status = json.loads(capsys.readouterr().out)
    assert (status["accepted"], status["quarantined"], status["is_running"]) == (97, 3, False)
    assert [*status["positions"].values()] == [log.stat().st_size]
    with opened(tmp_path, [log]):
        assert main(["status", "--config", str(config)]) == 0
    assert "97 accepted, 3 quarantined" in capsys.readouterr().out


def test_the_page_of_the_server_shows_lag_flush_and_lost_ranges(tmp_path, log):
    """While it runs, paused or not, and after its end; a minute without a sign is an alarm."""
    now, events = datetime.now(UTC), tmp_path / "events"
    assert collector_page(events, now) == {"summary": "No collector has run here."}
    append(log, made_lines(20))
    with opened(tmp_path, [log]) as (collector, _):
        collect_all(collector)
        collector.flush()
        collector.ledger.append({"kind": "gap", "log": "x", "partition": "0", "first": 7, "end": 9})
        collector._status_at = 0.0
        collector.step()
        shown = collector_page(events, now)
        assert (
            shown["summary"]
            == "The collector is running, not behind; 2 messages were lost in 1 ranges."
        )
        assert not shown["alarm"]
        assert abs(datetime.fromisoformat(shown["flushed_at"]) - now) < timedelta(minutes=1)
        silent = collector_page(events, now + timedelta(minutes=10))
        assert (silent["alarm"], silent["summary"][-6:]) == (True, "0 min.")
        stop = StopRequest()
        stop.request()
        collector.run(stop)
    stopped = collector_page(events, now + timedelta(minutes=10))
    assert (stopped["alarm"], stopped["summary"][:26]) == (False, "The collector was stopped;")


@pytest.mark.parametrize("text", ["[]", "{", '{"lags": 1}', '{"lags": [], "gaps": [], "at": "x"}'])
def test_a_damaged_status_is_shown_as_one(tmp_path, text):
    (tmp_path / ".collector").mkdir()
    (tmp_path / ".collector" / "STATUS").write_text(text)
    shown = collector_page(tmp_path, datetime.now(UTC))
    assert shown["summary"].startswith("The state of the collector is not valid: ")
    assert shown["alarm"]


def test_the_figures_are_answered_on_a_port(tmp_path, log):
    append(log, made_lines(100, n_broken=3))
    port = free_port()
    with opened(tmp_path, [log]) as (collector, _):
        collector.metrics.serve("127.0.0.1", port)
        collect_all(collector)
        collector.flush()
        with pytest.raises(PortError, match=f"127.0.0.1:{port}: cannot be opened"):
            collector.metrics.serve("127.0.0.1", port)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    assert 'marquee_collect_lines_total{outcome="accepted"} 97.0' in text
    assert 'marquee_collect_rejected_lines_total{reason="malformed time"} 3.0' in text
    assert 'marquee_collect_rows_total{kind="views"}' in text
    assert "marquee_collect_flush_seconds_count 1.0" in text


def test_status_without_a_ledger_is_an_error(config, capsys):
    assert main(["status", "--config", str(config)]) == 1
    assert "has no ledger of a collector; start" in capsys.readouterr().err


def test_a_rebuilt_ledger_reads_on_at_the_end_of_the_files(tmp_path, log, config, capsys):
    lines = made_lines(100)
    append(log, lines[:60])
    collect_files(tmp_path, log)
    before = ledger_state(tmp_path).ranges
    CollectorFolder(tmp_path / "events").ledger.write_bytes(b"damaged\n")
    assert main(["rebuild", "--config", str(config)]) == 0
    assert ledger_state(tmp_path).ranges == before
    append(log, lines[60:])
    collect_files(tmp_path, log)
    assert ledger_state(tmp_path).accepted == 40
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_lost_ledger_is_rebuilt_at_the_start(tmp_path, log, is_empty):
    """Missing, or empty: the partitions' metadata says what is in them."""
    lines = made_lines(100)
    append(log, lines)
    collect_files(tmp_path, log)
    ledger = CollectorFolder(tmp_path / "events").ledger
    ledger.unlink()
    if is_empty:
        ledger.touch()
    collect_files(tmp_path, log)
    assert ledger_state(tmp_path).accepted == 0
    assert all_rows(tmp_path / "events") == bulk_rows(tmp_path, lines)[0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "names neither a topic nor files"),
        ('topic = "t"', "has no bootstrap.servers"),
        ('topic = "t"\n[stream.kafka]\n"bootstrap.servers" = "h:1"\n"enable.auto.commit" = true',
         "must be 'false', so that nothing is lost"),
        (
            'topic = "t"\n[stream.kafka]\n"bootstrap.servers" = "h:1"\n"no.such" = 1',
            '[stream.kafka]: is not valid: No such configuration property: "no.such"',
        ),
        ("flush_lines = 0", "flush_lines must be more than 0"),
        ("flush_seconds = -1.0", "flush_seconds must be 0 or more"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_an_error(tmp_path, capsys, monkeypatch, table, message):
    monkeypatch.chdir(tmp_path)
    Path("marquee.toml").write_text(f"[stream]\nmetrics_port = 0\n{table}\n")
    assert main(["collect"]) == 1
    assert message in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path, log):
    (tmp_path / "events").write_bytes(b"a file")
    with pytest.raises(StreamError, match="events cannot be written"), opened(tmp_path, [log]):
        pass
