"""Steam's purchases and playing times."""

import pytest

from batch.events.lines import split_lines
from batch.events.steam import read_steam, steam
from batch.settings import BatchSettings


def read(text):
    """Return the rows, and the rejected lines by position."""
    found = read_steam(split_lines(text.encode()))
    rows = [tuple(row.values()) for row in found.table.to_pylist()]
    return rows, dict(zip(found.rejected.tolist(), found.reasons, strict=True))


def test_hours_are_those_of_playing():
    """The 1.0 of a purchase is not an hour."""
    rows, rejected = read("7,Dota,purchase,1.0,0\r\n7,Dota,play,273.5,0\n8,Dota,play,2\n")
    assert rows == [("7", "Dota", 0.0), ("7", "Dota", 273.5), ("8", "Dota", 2.0)]
    assert rejected == {}


def test_each_name_is_an_id_of_its_own():
    """Whatever its characters: names that differ have ids that differ."""
    names = ['"A, B"', '"A  B"', "A B", "A+B", "A~20B", '"A ""B"""', "Ü", "A/B"]
    rows, _ = read("".join(f"7,{name},play,1.0,0\n" for name in names))
    assert [item for _, item, _ in rows] == [
        "A~2C+B", "A++B", "A+B", "A~2BB", "A~7E20B", "A+~22B~22", "~C3~9C", "A~2FB",
    ]  # fmt: skip


def test_broken_lines_have_their_reasons():
    _, rejected = read(
        "7,Dota,play,1,0\n,Dota,play,1,0\n7,,play,1,0\n7,Dota,sold,1,0\n7,Dota,play,x,0\n\n"
    )
    assert rejected == {
        1: "malformed user id", 2: "malformed item id", 3: "neither purchase nor play",
        4: "malformed hours", 5: "blank line",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "n"),
    [
        ('7,"The Elder Scrolls, V",play,273.0,0', 1),
        ("7,Dota,purchase,1.0", 1),
        ("7,102,4.0,1600000000", 0),
        ("user,game,behavior,value,0", 0),
    ],
)
def test_lines_are_recognized_by_their_behavior(line, n):
    assert steam(BatchSettings()).n_matches([line]) == n
