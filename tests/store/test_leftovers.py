"""What a crash or a broken disk leaves beside the snapshots, and who takes it away."""

import pytest

from store.errors import StoreError
from store.journal import journal
from store.layout import generations
from store.pointer import current
from store.prune import prune
from store.publish import rollback, writing
from store.takedown import restore, take_down
from tests.snapshots import files_of, make_snapshot

LINE = "2026-03-01T02:30:00+00:00\t2\tpublish\tnever flip\n"


@pytest.fixture
def unreadable(two):
    """A store that serves 1 of three generations, and whose `CURRENT` cannot be read."""
    make_snapshot(two, {"ann": ["a"]}, ["a"])
    rollback(two, "2 and 3 are bad", to=1)
    (two / "CURRENT").unlink()
    (two / "CURRENT").mkdir()
    return two


@pytest.mark.parametrize("name", ["CURRENT", "PIN"])
def test_the_next_writer_removes_a_pointer_that_was_never_renamed(two, name):
    """A kill between the bytes and the rename leaves `….pending`; it does not stay."""
    before = files_of(two)
    (two / f"{name}.pending").write_text("1\tbroken o")
    with writing(two):
        pass
    assert files_of(two) == before


@pytest.mark.parametrize("n_written", range(1, len(LINE)))
def test_a_takedown_behind_a_torn_line_keeps_its_own(two, n_written):
    """It waits for no writer to mend the journal, and yet it starts a line of its own."""
    with (two / "JOURNAL").open("a") as file:
        file.write(LINE[:n_written])
    take_down(two, ["a"], "rights")
    restore(two, ["a"], "cleared")
    assert [(line.what, line.why) for line in journal(two)[-2:]] == [
        ("takedown", "a: rights"),
        ("restore", "a: cleared"),
    ]


def test_a_pointer_that_cannot_be_read_is_no_empty_store(unreadable):
    """The journal's last flip is not taken back for it: the writer is refused."""
    before = files_of(unreadable)
    with (
        pytest.raises(StoreError, match="CURRENT: does not hold a generation"),
        writing(unreadable),
    ):
        pass
    assert files_of(unreadable) == before


def test_nothing_is_pruned_while_the_pointer_cannot_be_read(unreadable):
    """What is served may be the oldest: nobody knows, so nothing goes."""
    with pytest.raises(StoreError):
        prune(unreadable, keep=1)
    assert generations(unreadable) == [1, 2, 3]


def test_once_the_pointer_can_be_read_again_pruning_goes_on(unreadable):
    """The twin: the current one stays, though it is the oldest."""
    (unreadable / "CURRENT").rmdir()
    (unreadable / "CURRENT").write_text("1\n")
    with writing(unreadable):
        assert prune(unreadable, keep=1) == [2]
    assert (current(unreadable), generations(unreadable)) == (1, [1, 3])
