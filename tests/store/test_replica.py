"""Push and pull through a directory: copies, rollbacks, takedowns, pruning and pins.

`test_replica_servers.py` has the same over HTTP and S3.
"""

import shutil

import pytest

from store.config import StoreSettings
from store.errors import (
    NotAnItemError,
    ReplicaError,
    StoreError,
)
from store.journal import journal
from store.layout import generations, snapshot_folder
from store.pointer import current
from store.prune import prune
from store.publish import pin, rollback, unpin, writing
from store.report_files import report_checksums
from store.takedown import restore, take_down, takedown_file, takedowns
from tests.snapshots import files_of, make_snapshot
from tests.store.replicas import (
    assert_current_is_complete,
    flip_a_bit,
    pull_from,
    push_to,
    snapshot_files,
)


def test_a_snapshot_arrives_byte_for_byte(two, there, node):
    """Store, remote and node have the same current snapshot, and no other files."""
    push_to(there, two)
    done = pull_from(there, node)
    assert (done.generation, done.is_current, done.has_changed) == (2, True, True)
    assert current(two) == current(there) == current(node) == 2
    assert snapshot_files(two, 2) == snapshot_files(there, 2) == snapshot_files(node, 2)
    names = {path.name for path in node.iterdir()}
    assert names == {"CURRENT", "JOURNAL", "LOCK", "TAKEDOWN.LOCK", "snapshots"}
    assert {path.name for path in there.iterdir()} == {"CURRENT", "JOURNAL", "snapshots"}


def test_a_second_push_and_pull_transfer_nothing(two, there, node):
    """They change neither side."""
    assert push_to(there, two).n_bytes > 0
    pull_from(there, node)
    before = files_of(there), files_of(node)
    assert push_to(there, two).n_bytes == 0
    assert not pull_from(there, node).has_changed
    assert (files_of(there), files_of(node)) == before


def test_the_report_of_a_refresh_goes_along(two, there, node):
    """A report that was made again is pushed again; one that is gone is removed at the remote."""
    here = snapshot_folder(two, 2)
    (here / "report.html").write_text("<p>first")
    (here / "list_counts.json").write_text('{"a":1}')
    push_to(there, two)
    (here / "report.html").write_text("<p>again")
    (here / "list_counts.json").unlink()
    push_to(there, two)
    pull_from(there, node)
    checksums = {"report.sha256": report_checksums(here).encode()}  # at the remote alone
    assert snapshot_files(two, 2) == snapshot_files(node, 2)
    assert snapshot_files(two, 2) | checksums == snapshot_files(there, 2)
    assert (snapshot_folder(node, 2) / "report.html").read_text() == "<p>again"


def test_a_report_made_again_reaches_a_node_with_the_snapshot(two, there, node):
    """Its files alone are replaced; a half-pushed one waits, and none there removes none here."""
    here, at_node = snapshot_folder(two, 2), snapshot_folder(node, 2)
    push_to(there, two)
    pull_from(there, node)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in at_node.iterdir()}
    (here / "report.html").write_text("<p>first")
    (here / "list_counts.json").write_text('{"a":1}')
    push_to(there, two)
    pull_from(there, node)
    (here / "report.html").write_text("<p>again")
    push_to(there, two)
    (snapshot_folder(there, 2) / "report.html").write_text("<p>half")
    pull_from(there, node)
    assert (at_node / "report.html").read_text() == "<p>first"
    (snapshot_folder(there, 2) / "report.html").write_text("<p>again")
    assert not pull_from(there, node).has_changed
    assert snapshot_files(node, 2) == snapshot_files(two, 2)
    assert before == {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before}
    (here / "report.html").unlink()
    push_to(there, two)
    pull_from(there, node)
    assert (at_node / "report.html").read_text() == "<p>again"


def test_push_of_a_given_generation(two, there):
    """It becomes current at the remote."""
    push_to(there, two, 1)
    assert (current(there), generations(there)) == (1, [1])


def test_a_node_follows_a_rollback_that_is_allowed(two, there, node):
    """The node has the older generation already; its journal has a rollback."""
    for generation in (1, 2):
        push_to(there, two, generation)
        pull_from(there, node)
    rollback(two, "lists of 2 look wrong")
    push_to(there, two)
    before = files_of(node)
    with pytest.raises(ReplicaError, match="generation 1, older than 2; pull once with --allow-r"):
        pull_from(there, node)
    assert files_of(node) == before
    pull_from(there, node, allow_rollback=True)
    assert current(there) == current(node) == 1
    assert journal(node)[-1].what == "rollback"


def test_a_node_without_the_older_generation_follows_a_rollback(two, there, node):
    """The older generation is fetched and becomes current."""
    push_to(there, two)
    pull_from(there, node)
    rollback(two, "lists of 2 look wrong")
    push_to(there, two)
    pull_from(there, node, allow_rollback=True)
    assert (current(node), generations(node)) == (1, [1, 2])


# Takedowns


def test_a_takedown_without_a_snapshot(two, there, node):
    """Takedown and restore are pushed and pulled without a snapshot; the restore if allowed."""
    push_to(there, two)
    pull_from(there, node)
    take_down(two, ["c"], "rights ended")
    assert push_to(there, two).n_bytes == 0
    assert pull_from(there, node).has_changed
    assert takedowns(node) == takedowns(two)
    assert (journal(node)[-1].what, journal(node)[-1].why.split(":")[0]) == ("takedown", "c")
    restore(two, ["c"], "bought again")
    push_to(there, two)
    before = files_of(node)
    with pytest.raises(ReplicaError, match="1 of its items would be shown again; pull once with"):
        pull_from(there, node)
    assert files_of(node) == before
    pull_from(there, node, allow_rollback=True)
    assert takedowns(node) == {}
    assert journal(node)[-1].what == "restore"


def test_the_removal_of_the_takedown_file(two, there, node):
    """It is removed at the remote and at the node."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two)
    pull_from(there, node)
    takedown_file(two).unlink()
    push_to(there, two)
    pull_from(there, node, allow_rollback=True)
    assert not takedown_file(there).exists()
    assert not takedown_file(node).exists()


def test_a_takedown_does_not_wait_for_a_damaged_snapshot(two, there, node):
    """Neither in a push nor in a pull."""
    push_to(there, two, 1)
    pull_from(there, node)
    take_down(two, ["c"], "rights ended")
    flip_a_bit(snapshot_folder(two, 2) / "recs.mdb")
    with pytest.raises(StoreError):
        push_to(there, two)
    (there / "CURRENT").write_text("7\n")
    with pytest.raises(ReplicaError):
        pull_from(there, node)
    assert list(takedowns(node)) == ["c"]


@pytest.mark.parametrize("page", [b"<html>welcome</html>\n", b"c\tsince\twhy", b"\xff\n"])
def test_a_file_that_is_not_a_list_of_takedowns_is_refused(two, there, node, page):
    """An HTML page, a truncated file, a binary file."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two)
    pull_from(there, node)
    takedown_file(there).write_bytes(page)
    with pytest.raises((NotAnItemError, ReplicaError), match="is not a list of takedowns"):
        pull_from(there, node)
    assert list(takedowns(node)) == ["c"]


# Prune and pin


def test_push_removes_pruned_snapshots_of_the_remote(two, there):
    """Their manifests are kept; a snapshot that this store never had is kept too."""
    for generation in (1, 2):
        push_to(there, two, generation)
    shutil.copytree(snapshot_folder(there, 1), snapshot_folder(there, 900))
    make_snapshot(two, {"ann": ["a"]}, ["b"])
    with writing(two):
        assert prune(two, keep=1) == [1, 2]
    assert push_to(there, two).pruned == [1, 2]
    assert generations(there) == [3, 900]
    assert (there / "manifests" / "000001.json").exists()
    assert_current_is_complete(there)


def test_pull_prunes_with_the_settings(two, there, node):
    """`keep = 2`."""
    for index in range(3):
        make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"%d" % index)
        push_to(there, two)
        pull_from(there, node, StoreSettings(keep=2))
    assert generations(node) == [4, 5]


def test_pull_into_a_pinned_store(two, there, node):
    """The new snapshot is fetched once and kept; after `unpin` it is current."""
    push_to(there, two, 1)
    pull_from(there, node)
    pin(node, "a film festival")
    push_to(there, two)
    done = pull_from(there, node)
    assert (done.is_current, done.has_changed) == (False, True)
    assert (current(node), generations(node)) == (1, [1, 2])
    before = files_of(node)
    assert not pull_from(there, node).has_changed
    assert files_of(node) == before
    unpin(node, "it is over")
    assert pull_from(there, node).is_current
