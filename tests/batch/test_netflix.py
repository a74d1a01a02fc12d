"""The Netflix Prize's blocks of a film and its raters."""

import pytest

from batch.events.lines import split_lines
from batch.events.netflix import NetflixReader, netflix
from batch.settings import BatchSettings


def read(*blocks):
    """Return the rows of blocks of one file, and the rejected lines of the last block."""
    reader = NetflixReader(has_ratings=True)
    found = [reader(split_lines(block.encode())) for block in blocks]
    rows = [tuple(row.values()) for one in found for row in one.table.to_pylist()]
    return rows, dict(zip(found[-1].rejected.tolist(), found[-1].reasons, strict=True))


def test_raters_belong_to_the_film_above():
    """With a rating and a date, with a date, or alone: all published files."""
    rows, rejected = read("1:\r\n5,3,2005-09-06\r\n6,4.5,2005-05-13\r\n22:\r\n7,2005-12-26\r\n8")
    assert rows == [
        ("5", "1", "3", "2005-09-06"),
        ("6", "1", "4.5", "2005-05-13"),
        ("7", "22", None, "2005-12-26"),
        ("8", "22", None, None),
    ]
    assert rejected == {}


def test_film_goes_on_in_the_next_block_of_lines():
    rows, _ = read("1:\n5,3\n", "6,3\n", "2:\n", "7,3\n")
    assert [row[:2] for row in rows] == [("5", "1"), ("6", "1"), ("7", "2")]


def test_raters_behind_a_broken_film_line_belong_to_no_film():
    """Not to the film before it; blocks of lines do not matter."""
    whole, rejected = read("1:\n5,3\n2 3:\n6,3\n7,3\n4:\n8,3\n")
    assert [row[:2] for row in whole] == [("5", "1"), ("8", "4")]
    assert rejected == {2: "malformed item id", 3: "no valid film line above",
                        4: "no valid film line above"}  # fmt: skip
    assert read("1:\n5,3\n2 3:\n", "6,3\n7,3\n4:\n8,3\n")[0] == whole


def test_broken_lines_have_their_reasons():
    _, rejected = read(
        "1:\n,3,2005-09-06\n5,x,2005-09-06\n5,3,6.9.2005\n\n5,3,2005-09-06,9\n\u00e9,3\n"
    )
    assert rejected == {
        1: "malformed user id", 2: "malformed rating", 3: "malformed time", 4: "blank line",
        5: "malformed time", 6: "malformed user id",
    }  # fmt: skip


def test_raters_without_a_film_are_rejected():
    assert read("5,3,2005-09-06\n") == ([], {0: "no valid film line above"})


@pytest.mark.parametrize(
    ("lines", "n"),
    [
        (["1:", "5,3,2005-09-06", "2:"], 3),
        (["1:", "5"], 2),
        (["garbage", "1:", "5,2005-12-26"], 2),
        (["5,3,2005-09-06"], 0),
        ([], 0),
    ],
)
def test_blocks_are_recognized_by_a_film_line(lines, n):
    assert netflix(BatchSettings()).n_matches(lines) == n
