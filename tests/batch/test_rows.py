"""JSON lines parsed many at a time give the same rows as parsed one by one."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.records.rows import json_rows

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


def alone(line):
    """Return the row of one line, parsed by the standard library."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    return found["doc"] if isinstance(found.get("doc"), dict) else found


def expected(lines):
    # repr: NaN is not equal to itself, and True is equal to 1
    return [repr(alone(line)) for line in lines if line.strip()]


def rows(lines):
    return [repr(row) for row in json_rows(lines)]


@pytest.mark.parametrize("lines", (SOUND | BROKEN).values(), ids=SOUND | BROKEN)
def test_lines_give_the_same_rows_as_alone(lines):
    """The content of a line does not affect the rows of other lines."""
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
def test_any_lines_give_the_same_rows_as_alone(pieces):
    """Lines that are valid JSON only when joined are also parsed one by one."""
    lines = [f"{piece}\n" for piece in pieces]
    assert rows(lines) == expected(lines)


def test_a_broken_line_loses_only_its_own_row():
    """The lines before and after it in its chunk are parsed."""
    lines = [f'{{"user_id": {n}}}\n' for n in range(20)]
    lines[9] = lines[9][:5]
    found = [row.get("user_id") for row in json_rows(lines, chunk_lines=4)]
    assert found == [*range(9), None, *range(10, 20)]
