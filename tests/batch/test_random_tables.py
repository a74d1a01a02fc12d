"""A random table, written as Parquet or JSON with random types, is read as the same table."""

import datetime
import decimal
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.batch.event_files import EventFolder, parquet, ratings

_MOMENT = st.integers(1_000_000_000, 2_000_000_000)
_ROWS = st.lists(
    st.tuples(
        st.integers(1, 50), st.integers(100, 150), st.sampled_from([0.5, 2, 3.5, 5]), _MOMENT
    ),
    min_size=1, max_size=8,
)  # fmt: skip

ID_TYPES = [
    pa.int16(), pa.uint32(), pa.int64(), pa.float64(), pa.string(), pa.large_string(),
    pa.string_view(), pa.decimal128(38, 18), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.int64()),
]  # fmt: skip
RATING_TYPES = [
    pa.float32(), pa.float64(), pa.string(), pa.decimal128(9, 3),
    pa.dictionary(pa.int8(), pa.string()),
]  # fmt: skip
TIME_TYPES = [
    pa.int64(), pa.uint64(), pa.float64(), pa.timestamp("s"), pa.timestamp("ms", "UTC"),
    pa.timestamp("us", "America/New_York"), pa.timestamp("ns"), pa.string(),
]  # fmt: skip
_NAMES = st.tuples(
    st.sampled_from(["user_id", "userId", "User-ID", "reviewerID"]),
    st.sampled_from(["item_id", "movieId", "ISBN", "asin"]),
    st.sampled_from(["rating", "stars", "overall"]),
    st.sampled_from(["timestamp", "date", "event_time"]),
)


def ids(values, kind):
    """Return ids of a type."""
    if kind == pa.dictionary(pa.int32(), pa.int64()):
        return pa.array(values, pa.int64()).dictionary_encode()
    if pa.types.is_dictionary(kind):
        return pa.array([str(value) for value in values]).dictionary_encode()
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if pa.types.is_decimal(kind):
        return pa.array([decimal.Decimal(value) for value in values], kind)
    return pa.array([value if is_number else str(value) for value in values], kind)


def numbers(values, kind):
    """Return ratings of a type."""
    if pa.types.is_decimal(kind):
        return pa.array([decimal.Decimal(str(value)) for value in values], kind)
    if pa.types.is_dictionary(kind):
        return pa.array([str(value) for value in values]).dictionary_encode()
    return pa.array([value if pa.types.is_floating(kind) else str(value) for value in values], kind)


def times(values, kind, per_second):
    """Return times of a type; whole numbers in a unit of so many a second."""
    if pa.types.is_string(kind):
        return pa.array([iso(value) for value in values])
    if pa.types.is_timestamp(kind):
        return pa.array(
            [datetime.datetime.fromtimestamp(value, datetime.UTC) for value in values], kind
        )
    if pa.types.is_floating(kind):
        return pa.array([float(value) for value in values], kind)
    return pa.array([value * per_second for value in values], kind)


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return EventFolder(tmp_path_factory.mktemp("random"))


def expected(rows):
    return sorted((str(user), str(item), rating, at) for user, item, rating, at in rows)


@settings(max_examples=60, deadline=None)
@given(
    _ROWS, _NAMES, st.sampled_from(ID_TYPES), st.sampled_from(ID_TYPES),
    st.sampled_from(RATING_TYPES),
    st.tuples(st.sampled_from(TIME_TYPES), st.sampled_from([1, 10**3, 10**6, 10**9])),
    st.permutations(range(4)),
)  # fmt: skip
def test_parquet_of_random_types_comes_back(
    folder, rows, names, user_type, item_type, rating_type, time_type, order
):  # fmt: skip
    """Ids, ratings and times to the second, in any order of columns."""
    user, item, rating, at = zip(*rows, strict=True)
    columns = [
        ids(user, user_type), ids(item, item_type), numbers(rating, rating_type),
        times(at, *time_type),
    ]  # fmt: skip
    events = folder.read(parquet(**{names[n]: columns[n] for n in order}))
    assert (ratings(events), events.sources[0].n_rejected) == (expected(rows), 0)


@settings(max_examples=40, deadline=None)
@given(
    _ROWS, _NAMES, st.permutations(range(4)), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from(["lines", "array", "indented", "object"]),
)  # fmt: skip
def test_json_of_random_types_comes_back(
    folder, rows, names, order, is_text_id, is_text_rating, is_iso, form
):  # fmt: skip
    """As lines, as an array and as an object of records."""
    records = []
    for user, item, rating, at in rows:
        values = [
            str(user) if is_text_id else user, item, str(rating) if is_text_rating else rating,
            iso(at) if is_iso else at,
        ]  # fmt: skip
        records.append({names[n]: values[n] for n in order})
    if form == "lines":
        content = "\n".join(map(json.dumps, records))
    elif form == "object":
        content = json.dumps({f"{number}{{": record for number, record in enumerate(records)})
    else:
        content = json.dumps(records, indent=1 if form == "indented" else None)
    events = folder.read(content)
    assert (ratings(events), events.sources[0].n_rejected) == (expected(rows), 0)
