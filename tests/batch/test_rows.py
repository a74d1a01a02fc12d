"""JSON lines are parsed many at a time, and give what each of them gives by itself."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.records.rows import ID, json_rows

ONE = '{"user_id": 1, "age": 28}\n'
SOUND = {
    "last-line-open": [ONE, '{"user_id": 2}'],
    "crlf": ['{"user_id": 1}\r\n', '{"user_id": 2}\r\n'],
    "mixed-line-ends": ['{"user_id": 1}\r\n', '{"user_id": 2}\n', '{"user_id": 3}'],
    "blank-lines": ["\n", ONE, " \n", ONE, "\n"],
    "brackets-in-text": [ONE, '{"user_id": 2, "likes": "{Heat} [1995]"}\n'],
    "lists": [ONE, '{"user_id": 2, "likes": ["Heat", "Alien"]}\n'],
    "object-in-object": [ONE, '{"user_id": 2, "age": {}}\n'],
    "doc": [ONE, '{"doc": {"user_id": 2}}\n'],
    "doc-that-is-none": [ONE, '{"user_id": 2, "doc": null}\n'],
    "id-of-its-own": [ONE, '{"user_id": 2, "id": 7}\n'],
    "blanks-around": [f"  {ONE}", '{"user_id": 2}  \n'],
    "one-key-twice": [ONE, '{"user_id": 2, "user_id": 3}\n'],
    "not-a-number": [ONE, '{"user_id": 2, "age": NaN}\n'],
}
BROKEN = {
    "torn": [ONE, '{"user_id": 2, "ag\n', ONE],
    "two-objects-in-a-line": [ONE, '{"user_id": 2},{"user_id": 3}\n'],
    "number-before-an-object": ['7,{"user_id": 2}\n'],
    "number-behind-an-object": ['{"user_id": 2},7\n'],
    "object-over-two-lines": [ONE, '{"user_id": 2\n', ', "age": 7}\n', ONE],
    "both": ['{"user_id": 2},{"user_id": 3}\n', '{"user_id": 4\n', "}\n"],
    "as-many-objects-as-lines": ['{"user_id": 2},{"user_id": 3}\n', "4\n", '{"user_id": 5}\n'],
    "list-over-two-lines": ['{"user_id": [{}\n', "{}]}\n", '{"user_id": 2},{"user_id": 3}\n'],
    "list-over-all-lines": ['[{"user_id": 2}\n', '{"user_id": 3}]\n'],
    "lists-for-objects": ['[{"user_id": 2}]\n', "[]\n", "7\n", "null\n", "{}\n"],
    "line-end-in-quotes": ['{"user_id": 2, "likes": "Heat}\n', '{ and Alien"}\n'],
    "nested-too-deep": [ONE, f'{{"user_id": 2, "likes": {"[" * 100_000}\n'],
    "number-too-long": [ONE, f'{{"user_id": 2, "age": {"9" * 5_000}}}\n'],
    "nothing-but-blanks": [" \n", "\n"],
}


def by_itself(line):
    """Return the row that a line gives by the letter."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    row = found["doc"] if isinstance(found.get("doc"), dict) else found
    return {**row, ID: row.get("user_id")}


def expected(lines):
    # repr: NaN is not equal to itself, and True is equal to 1
    return [repr(by_itself(line)) for line in lines if line.strip()]


def rows(lines):
    return [repr(row) for row in json_rows(lines, "user_id")]


@pytest.mark.parametrize("lines", (SOUND | BROKEN).values(), ids=SOUND | BROKEN)
def test_lines_give_what_each_gives_by_itself(lines):
    """Whatever stands in one of them, it makes nothing of the others."""
    assert rows(lines) == expected(lines)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.sampled_from([*'{}[],":1 ', '{"user_id":1}', '{"a":[', "]}", '"doc":', "\\", "\r"])
        ).map("".join),
        max_size=6,
    )
)
def test_any_lines_give_what_each_gives_by_itself(pieces):
    """Also those that would make sense together and do not by themselves."""
    lines = [f"{piece}\n" for piece in pieces]
    assert rows(lines) == expected(lines)


def test_a_broken_line_costs_itself_alone(monkeypatch):
    """It stands among others that are parsed with it, before it and behind."""
    monkeypatch.setattr("batch.records.rows._CHUNK", 4)
    lines = [f'{{"user_id": {n}}}\n' for n in range(20)]
    lines[9] = lines[9][:5]
    found = [row[ID] for row in json_rows(lines, "user_id")]
    assert found == [*range(9), None, *range(10, 20)]
