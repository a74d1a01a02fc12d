"""Bad events: any content of a file is read, quarantined, or refused as a whole."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.errors import InputError, RejectedError
from batch.events.ingest import ingest
from batch.events.read import read_events
from batch.interactions.build import build_interactions
from tests.batch.event_files import AT, event_settings, outcome

GOOD = f"{AT},7,GET /data/m/heat+1995/3.mpg\n".encode()


def by_refresh(path, max_rejected_share):
    return read_events(_settings(path, max_rejected_share)).events


def by_ingest(path, max_rejected_share):
    ingest(_settings(path, max_rejected_share), path.parent / "events")
    return by_refresh(path.parent / "events", 0.0)


def _settings(path, max_rejected_share):
    return event_settings(
        path, quarantine=path.parent / "quarantine", max_rejected_share=max_rejected_share
    )


@pytest.fixture(params=[by_refresh, by_ingest])
def read(request, tmp_path):
    """Read a log directly, like a refresh, and after an ingest into partitions."""

    def read(content, max_rejected_share=0.5):
        path = tmp_path / "stream.log"
        path.write_bytes(content)
        try:
            return request.param(path, max_rejected_share)
        except (InputError, RejectedError):
            assert not list(tmp_path.rglob("*.parquet"))
            raise

    return read


def quarantined(folder):
    """Return reason and line number of each quarantined line."""
    (path,) = (folder / "quarantine").iterdir()
    return [tuple(line.split(b"\t")[:3:2]) for line in path.read_bytes().splitlines()]


BROKEN = b"2022-11-1 4T12:23:14,7,GET /data/m/heat+1995/3.mpg\n"


def test_log_of_only_broken_lines_is_refused_and_quarantined(read, tmp_path):
    """None of its lines is used; every line is in the quarantine."""
    with pytest.raises(RejectedError, match=r"300 of 300 .*malformed time \(300\)"):
        read(BROKEN * 300)
    assert quarantined(tmp_path) == [(b"malformed time", b"%d" % n) for n in range(1, 301)]


def test_log_of_only_broken_lines_gives_nothing_where_all_may_be_rejected(tmp_path):
    """No view is read, and the partitions stay empty."""
    path = tmp_path / "stream.log"
    path.write_bytes(BROKEN * 300)
    assert by_refresh(path, 1.0).views.num_rows == 0
    settings = event_settings(path, quarantine=tmp_path / "q")
    assert sum(ingest(settings, tmp_path / "events").rows.values()) == 0
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("content", [b"", b"\n\r\n \n"])
def test_empty_file_given_by_name_is_refused(read, content):
    """An empty log that the settings name is an error."""
    with pytest.raises(InputError, match="is empty"):
        read(content)


@pytest.mark.parametrize("by", [by_refresh, by_ingest])
def test_empty_file_in_a_directory_is_skipped(tmp_path, by):
    """An empty log beside others in a directory is not an error."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "2022-11-13.log").touch()
    (folder / "2022-11-14.log").write_bytes(GOOD)
    assert by(folder, 0.0).views["item_id"].to_pylist() == ["heat+1995"]


@pytest.mark.parametrize("begin", [b"", GOOD])
def test_one_enormous_line_is_refused(read, begin):
    """A line without an end is refused by its number, before it fills the memory."""
    with pytest.raises(InputError, match=r"not a file of events|longer than 67108864 bytes"):
        read(begin + b"x" * 70_000_000)


def test_long_line_is_one_rejected_line(read, tmp_path):
    """A line of a megabyte is one rejected line; the lines around it are read."""
    line = GOOD[:-5] + b"9" * 10**6 + b"x\n"
    assert read(GOOD + line + GOOD).views["minute"].to_pylist() == [3]
    assert quarantined(tmp_path) == [(b"malformed minute", b"2")]


@pytest.mark.parametrize(
    ("position", "reason"),
    [(0, b"malformed time"), (20, b"malformed user id"), (36, b"malformed item id"),
     (46, b"malformed minute"), (24, b"unknown event")],
)  # fmt: skip
def test_nul_breaks_its_line_alone(read, tmp_path, position, reason):
    """A line with a NUL anywhere is rejected; the others are read."""
    broken = GOOD[:position] + b"\x00" + GOOD[position:]
    assert read(GOOD + broken + GOOD).views["minute"].to_pylist() == [3]
    assert quarantined(tmp_path) == [(reason, b"2")]


def test_block_of_nuls_breaks_one_line(read, tmp_path):
    """A block of NULs, such as a power cut leaves, is rejected with the line after it."""
    read(GOOD + b"\x00" * 4096 + GOOD + GOOD)
    assert quarantined(tmp_path) == [(b"malformed time", b"2")]


def test_user_with_100_000_views_is_one_user(read):
    """A crawler's views are all read, one for each item."""
    lines = [f"{AT},1,GET /data/m/m{n}/5.mpg\n" for n in range(100_000)]
    views = read("".join(lines).encode() + GOOD).views
    assert views.num_rows == 100_001
    assert np.unique(views["user_id"].to_pylist(), return_counts=True)[1].tolist() == [100_000, 1]


def test_item_with_all_views_is_one_item(read):
    """Five thousand users with views of one film are read."""
    lines = [f"{AT},{n},GET /data/m/heat/5.mpg\n" for n in range(5_000)]
    events = read("".join(lines).encode())
    assert (events.views.num_rows, set(events.views["item_id"].to_pylist())) == (5_000, {"heat"})


RATINGS = {
    "-3": b"malformed rating",
    "4.5": b"malformed rating",
    "nan": b"malformed rating",
    "": b"malformed rating",
    "1e9": b"malformed rating",
}


@pytest.mark.parametrize("rating", RATINGS)
def test_malformed_rating_is_quarantined(read, tmp_path, rating):
    """A negative or broken rating is rejected."""
    line = f"{AT},7,GET /rate/heat={rating}\n".encode()
    assert read(GOOD + line).ratings.num_rows == 0
    assert quarantined(tmp_path) == [(RATINGS[rating], b"2")]


@pytest.mark.parametrize("rating", ["0", "11", "999999", "9" * 500])
def test_huge_rating_is_dropped_as_off_the_scale(read, rating):
    """It is counted as off the scale, and the earlier valid rating is used."""
    lines = [f"{AT},{user},GET /rate/m{item}=4\n" for user in (1, 2) for item in (1, 2)]
    lines.append(f"2022-11-15T12:00,1,GET /rate/m1={rating}\n")
    built = build_interactions(read("".join(lines).encode()), None, 0.0)
    assert built.dropped == {"rating off the scale": 1}
    assert built.ratings.rating.tolist() == [4.0] * 4


def test_log_in_an_encoding_unlike_ascii_is_refused(read):
    """A log in EBCDIC is an error."""
    with pytest.raises((InputError, RejectedError), match=r"not a file of events|are broken"):
        read((GOOD.decode() * 300).encode("cp037"), 0.05)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_log_in_wide_characters_is_read(read, encoding):
    """A log in UTF-16 or UTF-32 has the same events as in ASCII."""
    assert outcome(read((GOOD.decode() * 300).encode(encoding))) == outcome(read(GOOD * 300))


def test_single_foreign_bytes_are_quarantined(read, tmp_path):
    """Latin-1 in an item id, a byte order mark before a line, half a character of UTF-8."""
    lines = [GOOD.replace(b"heat", b"am\xe9lie"), b"\xef\xbb\xbf" + GOOD, GOOD[:-6] + b"\xc3.mpg\n"]
    read(GOOD * 3 + b"".join(lines))
    assert quarantined(tmp_path) == [
        (b"malformed item id", b"4"),
        (b"malformed time", b"5"),
        (b"malformed minute", b"6"),
    ]


def test_bytes_outside_utf_8_in_an_answer_become_text(tmp_path):
    """An answer's error text may have any encoding; the partition has valid Unicode."""
    path = tmp_path / "stream.log"
    begin = f"{AT},7,recommendation request h\xff:1, status 0, result: ".encode("latin-1")
    path.write_bytes(GOOD + begin + b"na\xefve, 9 ms\n")
    by_ingest(path, 0.0)
    (answers,) = (tmp_path / "events" / "answers").rglob("*.parquet")
    (row,) = pq.ParquetFile(answers).read(["host", "result"]).to_pylist()
    assert row == {"host": "h\ufffd:1", "result": "na\ufffdve"}


@pytest.mark.parametrize("n_cut", [1, 8, 200, 60_000])
def test_torn_gzip_is_refused(read, n_cut):
    """A truncated gzip log is refused, so that half a day is not used as a whole one."""
    lines = "".join(f"{AT},{n},GET /data/m/m{n * 7919 % 1000}/5.mpg\n" for n in range(30_000))
    with pytest.raises(InputError, match="not a whole gzip file"):
        read(gzip.compress(lines.encode())[:-n_cut])


@pytest.mark.parametrize(
    ("minutes", "outcome"),
    [
        (float("nan"), "malformed minute"),
        (float("inf"), "malformed minute"),
        (-1.0, "malformed minute"),
        (None, None),
        (3.9, 3),
        (1e12, 10**6),
    ],
)
def test_minutes_of_a_table_are_valid_or_quarantined(tmp_path, minutes, outcome):
    """NaN is rejected, null is unknown, large minutes are cut as in the stream."""
    path = tmp_path / "views.parquet"
    column = pa.array([5.0, minutes], pa.float64())
    pq.write_table(pa.table({"user_id": [1, 2], "item_id": [1, 2], "minutes": column}), path)
    events = by_refresh(path, 0.5)
    if isinstance(outcome, str):
        assert events.views["minute"].to_pylist() == [5]
        assert quarantined(tmp_path) == [(outcome.encode(), b"2")]
    else:
        assert events.views["minute"].to_pylist() == [5, outcome]
