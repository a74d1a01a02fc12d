"""JSON lines as tables: what Arrow parses at once and what is parsed line by line agree."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.events.json_lines import JsonReader
from batch.events.lines import split_lines
from batch.events.rows import EventRows


def read(*lines: object) -> EventRows:
    """Read lines of text or bytes, and objects as JSON."""
    encoded = [
        line if isinstance(line, bytes) else line.encode() if isinstance(line, str)
        else json.dumps(line).encode()
        for line in lines
    ]  # fmt: skip
    return JsonReader()(split_lines(b"\n".join(encoded)))


def test_objects_are_rows_and_their_keys_columns():
    """A key that is missing in an object is null there."""
    rows = read({"user": "1", "rating": 4}, {"user": "2", "seen": True})
    assert rows.table.to_pylist() == [
        {"user": "1", "rating": 4, "seen": None},
        {"user": "2", "rating": None, "seen": True},
    ]
    assert (rows.positions.tolist(), rows.reasons) == ([0, 1], [])


def test_broken_lines_are_rejected_and_the_others_kept():
    """Each with its position: a broken one, a blank one, a number, and bytes that are not UTF-8."""
    rows = read({"a": 1}, '{"a": ', "", {"a": 2}, "5", b'{"a": "\xff"}', {"a": 3})
    assert rows.table["a"].to_pylist() == [1, 2, 3]
    assert rows.positions.tolist() == [0, 3, 6]
    assert rows.rejected.tolist() == [1, 2, 4, 5]
    assert rows.reasons == ["not a JSON object", "blank line", *["not a JSON object"] * 2]


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (['{"a": 1}', '{"a": "1"}'], ["1", "1"]),
        (['{"a": 12345678901234567890123}', '{"a": 7}'], ["12345678901234567890123", "7"]),
        (['{"a": 0.5}', '{"a": 9007199254740993}'], ["0.5", "9007199254740993"]),
        (['{"a": "2020-01-01"}', '{"a": "2020-01-02"}'], ["2020-01-01", "2020-01-02"]),
        (['{"a": 1, "a": 2}'], [2]),
        (['{"a": 1}{"a": 2}'], []),
        (['{"a": [1]}', '{"a": 1}'], ["[1]", "1"]),
        (['{"a": null}'], [None]),
        (['{"a": "\\ud800"}'], ["?"]),
        (["{u'a': u'caf\\xe9', 'b': True}"], ["café"]),
        (["{'a': __import__('os')}"], []),
    ],
    ids=[
        "number and text", "long number", "long number beside a fraction", "dates", "key twice",
        "two objects", "list and number", "null", "half a character", "Python", "Python code",
    ],
)  # fmt: skip
def test_no_value_is_changed(lines, values):
    """Where Arrow would round, refuse or convert, the value is kept."""
    table = read(*lines).table
    assert (table["a"].to_pylist() if "a" in table.column_names else []) == values


def test_text_that_looks_like_times_stays_text_in_every_block():
    reader = JsonReader()
    for text in ("2020-09-13 12:26:40", "2020-09-13", "soon"):
        rows = reader(split_lines(json.dumps({"at": text}).encode()))
        assert rows.table.schema.types == [pa.string()]
        assert rows.table["at"].to_pylist() == [text]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.text("a1é🎬\"\\{}[],: \n", max_size=5),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3), min_size=1))
def test_random_objects_come_back(objects):
    """Columns of one type keep their values; of several types, they hold the values as text."""
    rows = read(*objects)
    assert rows.positions.tolist() == list(range(len(objects)))
    for name in {name for found in objects for name in found}:
        values = [found.get(name) for found in objects]
        assert all(map(same, rows.table[name].to_pylist(), values))


def same(read_value, value):
    """Return whether a value is the one that was written, or its text."""
    if value is None or type(read_value) is type(value):
        return read_value == value
    if isinstance(read_value, str):
        return read_value == (value if isinstance(value, str) else json.dumps(value))
    return float(read_value) == value
