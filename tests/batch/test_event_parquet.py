"""Events from Parquet: ids and times of any type, and rows that are rejected."""

import gzip
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from batch.errors import InputError
from batch.events.read import ReadSizes
from tests.batch.event_files import EventFolder, parquet, ratings, views


@pytest.fixture
def read(tmp_path):
    return EventFolder(tmp_path).read


@pytest.fixture
def quarantined(tmp_path):
    return EventFolder(tmp_path).quarantined


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_ids_of_any_text_type(read, kind):
    """Text ids read the same, however the file stores text."""
    ids = pa.array(["ann", "bob"]).cast(kind)
    events = read(parquet(user_id=ids, item_id=ids))
    assert [view[:2] for view in views(events)] == [("ann", "ann"), ("bob", "bob")]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint32(), pa.int64(), pa.float64()])
def test_parquet_ids_of_any_number_type(read, kind):
    """A whole number is the id in decimal, even if pandas has stored it as a float."""
    events = read(parquet(userId=pa.array([7, 42], kind), movieId=pa.array([1, 100], kind)))
    assert [view[:2] for view in views(events)] == [("42", "100"), ("7", "1")]


def test_parquet_broken_rows_are_rejected_for_their_reasons(read, quarantined):
    """Null, NaN and invalid ids are rejected with their row; the other rows are kept."""
    broken = [
        (None, "i", 3.0, b"malformed user id"),
        ("a b", "i", 3.0, b"malformed user id"),
        ("", "i", 3.0, b"malformed user id"),
        ("é", "i", 3.0, b"malformed user id"),
        ("u" * 65, "i", 3.0, b"malformed user id"),
        ("u", None, 3.0, b"malformed item id"),
        ("u", "a,b", 3.0, b"malformed item id"),
        ("u", "i" * 201, 3.0, b"malformed item id"),
        ("u", "line\nfeed", 3.0, b"malformed item id"),
        ("u", "i\n", 3.0, b"malformed item id"),
        ("u", "i", None, b"malformed rating"),
        ("u", "i", float("nan"), b"malformed rating"),
        ("u", "i", float("inf"), b"malformed rating"),
        (None, None, None, b"malformed user id"),
    ]
    rows = [("u", "i", 4.0, b""), *broken, ("v", "j", 5.0, b"")]
    user, item, rating, _ = zip(*rows, strict=True)
    events = read(parquet(user_id=user, item_id=item, rating=rating))
    assert ratings(events) == [("u", "i", 4.0, 0), ("v", "j", 5.0, 0)]
    assert events.sources[0].n_lines == len(rows)
    assert events.sources[0].n_rejected == len(broken)
    in_order = [fields[0] for fields in quarantined() if len(fields) == 4]
    assert in_order == [reason for *_, reason in broken]


def test_parquet_rejected_row_is_quarantined_as_text(read, quarantined):
    """A rejected row is written as user, tab, item, under its row number."""
    read(parquet(user_id=["ann", "b b", None], item_id=["1", "2", "3"]))
    assert [fields[2:] for fields in quarantined()] == [(b"2", b"b b\t2"), (b"3", b"\t3")]


def test_parquet_without_ratings_has_pairs_with_nulls_rejected(read, quarantined):
    """Pairs need both ids and no other column."""
    events = read(parquet(user_id=[1, None, 3], item_id=[1, 2, None]))
    assert views(events) == [("1", "1", None, 1)]
    assert [fields[0] for fields in quarantined()] == [b"malformed user id", b"malformed item id"]


MOMENT = datetime(2020, 2, 29, 12, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "at",
    [
        pa.array([MOMENT, None], pa.timestamp("ns", "UTC")),
        pa.array([MOMENT, None], pa.timestamp("us", "America/New_York")),
        pa.array([MOMENT, None], pa.timestamp("ms")),
        pa.array([int(MOMENT.timestamp()), None], pa.int64()),
        pa.array([int(MOMENT.timestamp()), None], pa.int32()),
        pa.array([MOMENT.timestamp() + 0.9, None], pa.float64()),
        pa.array([MOMENT.timestamp(), float("nan")], pa.float64()),
    ],
    ids=["ns UTC", "us zone", "ms", "int64", "int32", "fraction", "NaN"],
)
def test_parquet_times_are_seconds_and_0_if_unknown(read, at):
    """A time of any type becomes seconds since 1970; null and NaN become 0, unknown."""
    file = parquet(user_id=[1, 2], item_id=[1, 2], rating=[3, 4], timestamp=at)
    assert [rating[3] for rating in ratings(read(file))] == [int(MOMENT.timestamp()), 0]


def test_parquet_dates_are_midnight(read):
    """A date stands for its first second."""
    file = parquet(user_id=[1], item_id=[1], rating=[3], at=pa.array([MOMENT.date()]))
    midnight = MOMENT.replace(hour=0, minute=0, second=0)
    assert ratings(read(file))[0][3] == int(midnight.timestamp())


def test_parquet_of_many_batches_keeps_row_numbers(read, quarantined):
    """Row numbers continue from batch to batch."""
    users = [None if n % 5 == 0 else n for n in range(1, 21)]
    events = read(parquet(user_id=users, item_id=[1] * 20), sizes=ReadSizes(parquet_rows=3))
    assert [int(fields[2]) for fields in quarantined()] == [5, 10, 15, 20]
    assert (len(views(events)), events.sources[0].n_lines) == (16, 20)


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"item_id": [1]}, "no column named like userid.*it has item_id"),
        ({"user_id": [1], "title": ["x"]}, "no column named like movieid"),
        ({"user_id": [b"\xff"], "item_id": [1]}, "cannot be read as Parquet"),
    ],
)
def test_parquet_without_ids_is_refused(read, columns, what):
    """A Parquet file without users or items is an error that lists its columns."""
    with pytest.raises(InputError, match=what):
        read(parquet(**columns))


def test_torn_parquet_is_refused(read):
    """A truncated Parquet file is an InputError."""
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(parquet(user_id=[1], item_id=[2])[:-10])


def test_gzipped_parquet_is_read(read):
    """A Parquet file compressed with gzip is unpacked; a truncated one in it is an InputError."""
    content = parquet(user_id=[1], item_id=[2])
    assert views(read(gzip.compress(content))) == [("1", "2", None, 1)]
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(gzip.compress(content[:-10]))
