"""Lines of a user and their items."""

import pytest

from batch.events.item_lists import n_item_lists, parse_item_lists
from batch.events.lines import split_lines


def parse(text):
    """Return the pairs, and the rejected lines by position."""
    parsed = parse_item_lists(split_lines(text.encode()))
    columns = (parsed.views[name].to_pylist() for name in ("user_id", "item_id"))
    rejected = dict(zip(parsed.rejected.tolist(), parsed.reasons, strict=True))
    return list(zip(*columns, strict=True)), rejected


def test_each_item_is_a_pair_with_the_lines_user():
    """Blanks, tabs, CRLF and a user without items are accepted."""
    pairs, rejected = parse("0 17 4\r\n2\n  1\t4 \n3 5")
    assert pairs == [("0", "17"), ("0", "4"), ("1", "4"), ("3", "5")]
    assert rejected == {}


def test_line_with_a_broken_id_is_rejected_whole():
    pairs, rejected = parse("0 1\n1 2 a,b 3\nü 4\n\n5 6\n" + "x" * 65 + " 7\n")
    assert pairs == [("0", "1"), ("5", "6")]
    assert rejected == {
        1: "malformed item id", 2: "malformed user id", 3: "blank line", 5: "malformed user id",
    }  # fmt: skip


def test_no_lines_have_no_pairs():
    assert parse("") == ([], {})


@pytest.mark.parametrize(
    ("lines", "n"),
    [
        (["0 1 2 3", "1 4", "2"], 3),
        (["u0 i1 i2 i3", "u1 i4"], 2),
        (["0 1 2 3 4 5", "1 2 3 4 5 6"], 2),  # more numbers than a table has columns
        (["0 1 2", "", "1 4"], 2),
        (["196 242 3 881250949", "186 302 3 891717742"], 0),  # user, item, rating, time
        (["196 242", "186 302"], 0),  # pairs with a blank between
        (["0 1 2", "0 3"], 0),  # no list is spread over two lines
        (["The third film of 3", "Se7en is the 2nd"], 0),
        (["two words", "and three words"], 0),
        (["0 1.5 2", "1 2"], 0),
        ([], 0),
    ],
)
def test_lists_are_recognized_and_tables_are_not(lines, n):
    assert n_item_lists(lines) == n
