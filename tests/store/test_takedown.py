"""Takedowns: the file, its journal lines, and concurrent changes."""

import subprocess
import sys

import pytest

from store.errors import NotAnItemError
from store.journal import journal
from store.publish import writing
from store.takedown import restore, take_down, takedown_file, takedowns
from tests.store.conftest import ROOT


def test_an_item_is_down_until_it_is_restored(tmp_path):
    """The other entry stays, with its reason."""
    take_down(tmp_path, ["a", "b"], "licence ended")
    restore(tmp_path, ["a"], "renewed")
    assert {name: entry.why for name, entry in takedowns(tmp_path).items()} == {
        "b": "licence ended"
    }


def test_a_store_without_takedowns_has_none(tmp_path):
    """The file does not exist."""
    assert takedowns(tmp_path) == {}


def test_the_first_reason_stays(tmp_path):
    """Taking an item down again changes neither its time nor its reason."""
    first = take_down(tmp_path, ["a"], "licence ended")["a"]
    assert take_down(tmp_path, ["a", "b"], "again")["a"] == first


@pytest.mark.parametrize("bad", ["", "a b", "a,b", "a\tb", "x" * 201, "é"])
def test_an_invalid_item_id_takes_nothing_down(tmp_path, bad):
    """The valid ids beside it are not taken down either."""
    with pytest.raises(NotAnItemError, match="is not a valid item id"):
        take_down(tmp_path, ["a", bad], "why")
    assert not takedown_file(tmp_path).exists()


def test_restoring_an_item_that_is_not_taken_down_changes_nothing(tmp_path):
    """The other items of the call are not restored either."""
    take_down(tmp_path, ["a"], "why")
    with pytest.raises(NotAnItemError, match="'b' is not taken down"):
        restore(tmp_path, ["a", "b"], "why")
    assert list(takedowns(tmp_path)) == ["a"]


def test_takedown_and_restore_are_in_the_journal(tmp_path):
    """With items and reasons."""
    take_down(tmp_path, ["a"], "licence\tended\n")
    restore(tmp_path, ["a"], "renewed")
    assert [(line.what, line.why) for line in journal(tmp_path)] == [
        ("takedown", "a: licence ended"),
        ("restore", "a: renewed"),
    ]


def test_a_reason_of_several_lines_stays_one_entry(tmp_path):
    """Tabs and newlines become blanks."""
    take_down(tmp_path, ["a"], "one\ttwo\nthree")
    assert takedowns(tmp_path)["a"].why == "one two three"


def test_a_takedown_does_not_wait_for_a_refresh(tmp_path):
    """It takes effect while another process writes."""
    with writing(tmp_path):
        take_down(tmp_path, ["a"], "now")
    assert list(takedowns(tmp_path)) == ["a"]


def test_concurrent_takedowns_are_all_kept(tmp_path):
    """Eight processes; the directory is locked during a change."""
    script = "import sys; from pathlib import Path; from store.takedown import take_down\n"
    script += "take_down(Path(sys.argv[1]), [sys.argv[2]], 'why')"
    names = [f"item{number}" for number in range(8)]
    running = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path, name], cwd=ROOT) for name in names
    ]
    assert [process.wait() for process in running] == [0] * len(names)
    assert set(takedowns(tmp_path)) == set(names)
