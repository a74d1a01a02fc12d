"""Pushes and pulls that must be refused: damage, other formats, unrelated stores, two at a time."""

import fcntl
import json
import os
import re
import shutil

import pytest

from store.errors import (
    IncompatibleSnapshotError,
    ReplicaError,
    StoreBusyError,
    StoreError,
)
from store.layout import CHECKSUMS, MANIFEST, generations, snapshot_folder
from store.manifest import sha256
from store.pointer import current
from tests.snapshots import files_of, make_snapshot
from tests.store.replicas import (
    flip_a_bit,
    pull_from,
    push_to,
    snapshot_files,
)


def remove_checksums(there):
    (snapshot_folder(there, 2) / CHECKSUMS).unlink()


def flip_a_bit_of_the_lists(there):
    flip_a_bit(snapshot_folder(there, 2) / "recs.mdb")


def remove_a_file(there):
    (snapshot_folder(there, 2) / "factors.mdb").unlink()


def truncate_a_file(there):
    with (snapshot_folder(there, 2) / "items.ann").open("r+b") as file:
        file.truncate(3)


def tear_the_manifest(there):
    (snapshot_folder(there, 2) / "MANIFEST.json").write_text('{"format_version": 1, "gen')


def name_a_missing_snapshot(there):
    (there / "CURRENT").write_text("7\n")


def replace_the_pointer_by_a_page(there):
    (there / "CURRENT").write_text("<html>not found</html>")


def empty_the_pointer(there):
    (there / "CURRENT").write_text("")


def exchange_the_snapshot(there):
    shutil.rmtree(snapshot_folder(there, 2))
    shutil.copytree(snapshot_folder(there, 1), snapshot_folder(there, 2))


@pytest.mark.parametrize(
    "damage",
    [
        remove_checksums,
        flip_a_bit_of_the_lists,
        remove_a_file,
        truncate_a_file,
        tear_the_manifest,
        name_a_missing_snapshot,
        replace_the_pointer_by_a_page,
        empty_the_pointer,
        exchange_the_snapshot,
    ],
)
def test_a_damaged_remote_does_not_become_current(two, there, node, damage):
    """The error names the remote, and the node is unchanged; after the repair it is pulled."""
    push_to(there, two, 1)
    pull_from(there, node)
    push_to(there, two)
    sound = there.with_name("sound")
    shutil.copytree(there, sound)
    damage(there)
    with pytest.raises(ReplicaError, match=re.escape(str(there))):
        pull_from(there, node)
    assert (current(node), generations(node)) == (1, [1])
    shutil.rmtree(there)
    sound.rename(there)
    assert pull_from(there, node).is_current


def test_another_format_is_refused_before_its_data_files_are_fetched(two, there, node):
    """The manifest is fetched first, and no data file after it."""
    push_to(there, two)
    folder = snapshot_folder(there, 2)
    old = sha256(folder / MANIFEST)
    document = json.loads((folder / MANIFEST).read_text()) | {"format_version": 9}
    (folder / MANIFEST).write_text(json.dumps(document))
    checksums = (folder / CHECKSUMS).read_text()
    (folder / CHECKSUMS).write_text(checksums.replace(old, sha256(folder / MANIFEST)))
    with pytest.raises(IncompatibleSnapshotError, match="format version 9"):
        pull_from(there, node)
    assert list(node.rglob("*.mdb")) == []


def test_a_corrupt_snapshot_is_not_pushed(two, there):
    """It is verified before any file is sent."""
    flip_a_bit(snapshot_folder(two, 2) / "recs.mdb")
    with pytest.raises(StoreError, match="SHA-256"):
        push_to(there, two)
    assert not there.exists()


def test_a_truncated_file_of_the_remote_is_sent_again(two, there):
    """Its size differs."""
    push_to(there, two)
    truncate_a_file(there)
    push_to(there, two)
    assert snapshot_files(there, 2) == snapshot_files(two, 2)


@pytest.fixture
def unrelated(tmp_path):
    """Another store with a generation 1 of its own."""
    unrelated = tmp_path / "unrelated"
    make_snapshot(unrelated, {"eve": ["x"]}, ["x"])
    return unrelated


def test_another_store_is_not_pushed_over_this_one(two, there, unrelated):
    """Generation 1 of the remote differs and is not replaced."""
    push_to(there, two, 1)
    before = files_of(there)
    with pytest.raises(ReplicaError, match="differs from the snapshot of that number here"):
        push_to(there, unrelated)
    assert files_of(there) == before


def test_another_store_is_not_pulled_over_this_one(two, there, unrelated):
    """Generation 1 of the node differs and is not replaced."""
    push_to(there, unrelated)
    with pytest.raises(ReplicaError, match="differs from the snapshot of that number at"):
        pull_from(there, two, allow_rollback=True)
    assert current(two) == 2


def test_one_push_of_a_snapshot_at_a_time(two, there):
    """A second one would truncate files that the first has completed."""
    with (snapshot_folder(two, 2) / CHECKSUMS).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreBusyError, match="is pushing"):
            push_to(there, two)
    push_to(there, two)


def test_one_pull_at_a_time(two, there, node):
    """Two would fetch into the same directory."""
    push_to(there, two)
    (node / "snapshots").mkdir(parents=True)
    descriptor = os.open(node / "snapshots", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(StoreBusyError, match="is pulling"):
        pull_from(there, node)
    os.close(descriptor)
    pull_from(there, node)
