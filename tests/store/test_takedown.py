"""Takedowns: a small file that every server obeys."""

import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import NotAnItemError
from store.journal import journal
from store.publish import writing
from store.takedown import restore, take_down, takedown_file, takedowns

_ROOT = Path(__file__).parents[2]


def test_an_item_is_down_until_it_is_restored(tmp_path):
    """Each entry says since when and why."""
    take_down(tmp_path, ["a", "b"], "licence ended")
    restore(tmp_path, ["a"], "renewed")
    assert {name: entry.why for name, entry in takedowns(tmp_path).items()} == {
        "b": "licence ended"
    }


def test_a_store_without_takedowns_has_none(tmp_path):
    """The file need not exist."""
    assert takedowns(tmp_path) == {}


def test_the_first_reason_stays(tmp_path):
    """Taking an item down again changes neither its time nor its reason."""
    first = take_down(tmp_path, ["a"], "licence ended")["a"]
    assert take_down(tmp_path, ["a", "b"], "again")["a"] == first


@pytest.mark.parametrize("bad", ["", "a b", "a,b", "a\tb", "x" * 201, "é"])
def test_what_is_no_item_id_takes_nothing_down(tmp_path, bad):
    """A typing error among many items changes nothing at all."""
    with pytest.raises(NotAnItemError, match="no item id"):
        take_down(tmp_path, ["a", bad], "why")
    assert not takedown_file(tmp_path).exists()


def test_restoring_what_is_not_down_changes_nothing(tmp_path):
    """Nor does it restore the others that were named with it."""
    take_down(tmp_path, ["a"], "why")
    with pytest.raises(NotAnItemError, match="'b' is not taken down"):
        restore(tmp_path, ["a", "b"], "why")
    assert list(takedowns(tmp_path)) == ["a"]


def test_the_journal_tells_both(tmp_path):
    """What was withheld when can be told afterwards."""
    take_down(tmp_path, ["a"], "licence\tended\n")
    restore(tmp_path, ["a"], "renewed")
    assert [(line.what, line.why) for line in journal(tmp_path)] == [
        ("takedown", "a: licence ended"),
        ("restore", "a: renewed"),
    ]


def test_a_reason_of_several_lines_stays_one_entry(tmp_path):
    """Tabs and line ends in a reason break nothing."""
    take_down(tmp_path, ["a"], "one\ttwo\nthree")
    assert takedowns(tmp_path)["a"].why == "one two three"


def test_a_refresh_that_holds_the_store_holds_up_no_takedown(tmp_path):
    """It takes effect now, also in the middle of a publish."""
    with writing(tmp_path):
        take_down(tmp_path, ["a"], "now")
    assert list(takedowns(tmp_path)) == ["a"]


def test_many_at_once_lose_nothing(tmp_path):
    """Each reads what the others wrote: the directory is locked meanwhile."""
    script = "import sys; from pathlib import Path; from store.takedown import take_down\n"
    script += "take_down(Path(sys.argv[1]), [sys.argv[2]], 'why')"
    names = [f"item{number}" for number in range(8)]
    running = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path, name], cwd=_ROOT)
        for name in names
    ]
    assert [process.wait() for process in running] == [0] * len(names)
    assert set(takedowns(tmp_path)) == set(names)
