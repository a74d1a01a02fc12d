"""Files that a crash or a disk error leaves beside the snapshots, and their removal."""

import pytest

from store.errors import StoreError
from store.journal import journal
from store.layout import generations
from store.pointer import current
from store.prune import prune
from store.publish import rollback, writing
from store.takedown import restore, take_down
from tests.snapshots import files_of, make_snapshot

LINE = "2026-03-01T02:30:00+00:00\t2\tpublish\tno flip\n"


@pytest.fixture
def unreadable(two):
    """A store that serves 1 of three generations, and whose `CURRENT` cannot be read."""
    make_snapshot(two, {"ann": ["a"]}, ["a"])
    rollback(two, "2 and 3 are bad", to=1)
    (two / "CURRENT").unlink()
    (two / "CURRENT").mkdir()
    return two


@pytest.mark.parametrize("name", ["CURRENT", "PIN"])
def test_the_next_writer_removes_a_pending_pointer(two, name):
    """A kill before the rename leaves `….pending`."""
    before = files_of(two)
    (two / f"{name}.pending").write_text("1\tbroken o")
    with writing(two):
        pass
    assert files_of(two) == before


@pytest.mark.parametrize("n_written", range(1, len(LINE)))
def test_a_takedown_after_a_torn_line_starts_a_new_line(two, n_written):
    """A takedown does not wait for a writer that completes the torn line."""
    with (two / "JOURNAL").open("a") as file:
        file.write(LINE[:n_written])
    take_down(two, ["a"], "rights")
    restore(two, ["a"], "cleared")
    assert [(line.what, line.why) for line in journal(two)[-2:]] == [
        ("takedown", "a: rights"),
        ("restore", "a: cleared"),
    ]


def test_an_unreadable_pointer_is_not_an_empty_store(unreadable):
    """The writer is refused, and the journal's last flip is not voided."""
    before = files_of(unreadable)
    with (
        pytest.raises(StoreError, match="CURRENT: does not hold a generation"),
        writing(unreadable),
    ):
        pass
    assert files_of(unreadable) == before


def test_nothing_is_pruned_while_the_pointer_is_unreadable(unreadable):
    """The oldest generation may be the served one."""
    with pytest.raises(StoreError):
        prune(unreadable, keep=1)
    assert generations(unreadable) == [1, 2, 3]


def test_pruning_works_when_the_pointer_is_readable_again(unreadable):
    """The current generation is kept, though it is the oldest."""
    (unreadable / "CURRENT").rmdir()
    (unreadable / "CURRENT").write_text("1\n")
    with writing(unreadable):
        assert prune(unreadable, keep=1) == [2]
    assert (current(unreadable), generations(unreadable)) == (1, [1, 3])
