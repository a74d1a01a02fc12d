"""JSON arrays and objects of records, split in blocks of any size."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import InputError
from batch.events.json_records import read_records, record_depth


def split(path, text, block_bytes=1 << 20):
    """Return the records of a file, and their depth."""
    path.write_text(text)
    depth = record_depth(text, lambda found: "u" in found)
    blocks = list(read_records(path, block_bytes, depth=depth))
    assert [block.first_number for block in blocks] == [
        1 + sum(len(block.lines) for block in blocks[:n]) for n in range(len(blocks))
    ]
    return [line.as_py().decode() for block in blocks for line in block.lines], depth


@pytest.fixture
def file(tmp_path):
    return tmp_path / "records.json"


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ('[{"u": 1}, {"u": 2}]', 2),
        ('[\n  {\n    "u": 1\n  },\n  {\n    "u": 2\n  }\n]\n', 2),
        ('{"k1": {"u": 1}, "k}{2": {"u": 2}}', 2),
        ('{"Cursor": "x", "n": 2, "Feedback": [{"u": 1}, {"u": 2}], "ok": true}', 3),
        ('{\n"u": 1}\n{\n"u": 2}', 1),
    ],
    ids=["array", "indented array", "object", "inside something", "one behind the other"],
)
def test_records_are_found_wherever_they_stand(file, text, depth, block_bytes):
    """The size of a block changes nothing."""
    records, found = split(file, text, block_bytes)
    assert ([json.loads(record) for record in records], found) == ([{"u": 1}, {"u": 2}], depth)


def test_brackets_and_quotes_within_texts_are_text(file):
    texts = ['}{"]', "\\", '\\"', '"}, {"u": 2}', "[[["]
    records, _ = split(file, json.dumps([{"u": text} for text in texts]))
    assert [json.loads(record)["u"] for record in records] == texts


@pytest.mark.parametrize("text", ['[{"u": 1}, 5, {"u": 2}]', '[5, {"u": 1}]', '[{"u": 1}, null]'])
def test_what_is_not_an_object_is_a_row_of_its_own(file, text):
    """It is rejected later, and not skipped."""
    records, _ = split(file, text)
    assert len(records) == len(json.loads(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"u": 1}, {"u": ', "do not end behind record 1"),
        ('[{"u": 1}, {"u": "x', "do not end behind record 1"),
        ('[{"u": 1}', "do not end behind record 1"),
        ('[{"u": 1}, {"u": "x\n"}]', "line end within quotes behind record 0 or later"),
        ('[{"u": 1}]}', "do not end"),
        ('[{"u": 1}, [}, {"u": 2}]', "do not match"),
    ],
)
def test_torn_file_is_refused(file, text, problem):
    """The message has the number of records that were whole."""
    with pytest.raises(InputError, match=problem):
        split(file, text)


@pytest.mark.parametrize("text", ["[]", "{}", "[1, 2]", '{"a": 1}', '[{"a": 1}]', "[" * 1000, ""])
def test_head_without_records_has_depth_0(text):
    assert record_depth(text, lambda found: "u" in found) == 0


VALUES = st.recursive(
    st.one_of(st.integers(), st.none(), st.text('a"\\{}[],:é\n', max_size=4)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just('"{'), inner, max_size=1),
    max_leaves=4,
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(VALUES, min_size=1, max_size=6),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([1, 5, 64]),
    st.booleans(),
)
def test_random_records_come_back(tmp_path_factory, values, indent, block_bytes, is_array):
    """Whatever the values, the indent, the size of a block, and the brackets around."""
    written = [{"u": value} for value in values]
    outer = written if is_array else {str(n): record for n, record in enumerate(written)}
    file = tmp_path_factory.getbasetemp() / "random.json"
    records, _ = split(file, json.dumps(outer, indent=indent), block_bytes)
    assert [json.loads(record) for record in records] == written
