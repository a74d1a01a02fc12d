import json
import signal
import subprocess
import sys

import pytest

import store.snapshot
from store.journal import journal
from store.layout import generations, snapshot_folder
from store.pointer import current
from store.prune import prune
from store.publish import publish, rollback, writing
from store.snapshot import open_snapshot
from tests.snapshots import files_of, make_snapshot

HOLD_OPEN = """
import sys, time
from pathlib import Path
from store.snapshot import open_snapshot
with open_snapshot(Path(sys.argv[1]), 1):
    print("open", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def five(store):
    """A store with generations 1 to 5; 5 is current."""
    for _ in range(5):
        make_snapshot(store, {"ann": ["a"]}, ["a"])
    return store


def swept(store, keep):
    with writing(store):
        return prune(store, keep)


def test_sweep_keeps_the_newest(five):
    """Of five generations two are kept, and what went is named."""
    assert swept(five, keep=2) == [1, 2, 3]
    assert generations(five) == [4, 5]


def test_what_the_gate_refused_pushes_nothing_out(store):
    """Two nights refused after three good ones: those to go back to stay, and the last refused."""
    for _ in range(3):
        make_snapshot(store, {"ann": ["a"]}, ["a"])
    for _ in range(2):
        generation = make_snapshot(store, {"ann": ["a"]}, ["a"], flip=False)
        manifest = snapshot_folder(store, generation) / "MANIFEST.json"
        about = json.loads(manifest.read_text()) | {"gate": {"result": "refused"}}
        manifest.write_text(json.dumps(about))
    assert swept(store, keep=2) == [1, 4]
    assert generations(store) == [2, 3, 5]


def test_sweep_with_room_left_removes_nothing(five):
    """A store within its limit stays as it is."""
    before = files_of(five)
    assert swept(five, keep=5) == swept(five, keep=6) == []
    assert files_of(five) == before


def test_sweep_keeps_the_current_one_though_it_is_old(five):
    """After a rollback to 1 only what nobody serves goes."""
    rollback(five, "go back", to=1)
    assert swept(five, keep=2) == [2, 3]
    assert generations(five) == [1, 4, 5]
    assert current(five) == 1


def test_sweep_leaves_what_somebody_has_open(five):
    """An open snapshot stays until it is closed, and goes with the next sweep."""
    with open_snapshot(five, 2) as snapshot:
        assert swept(five, keep=2) == [1, 3]
        assert snapshot.users.get(b"ann") == b"a"
    assert swept(five, keep=2) == [2]


def test_sweep_leaves_what_another_process_has_open_until_it_dies(five):
    """A reader that is killed holds nothing any longer."""
    arguments = [sys.executable, "-c", HOLD_OPEN, str(five)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout.readline() == "open\n"
            assert swept(five, keep=2) == [2, 3]
        finally:
            reader.send_signal(signal.SIGKILL)
    assert swept(five, keep=2) == [1]


def test_a_snapshot_is_held_from_the_moment_its_verification_begins(five, monkeypatch):
    """A sweep that comes between verifying and opening leaves it: seconds pass there."""
    verify = store.snapshot.verify

    def verify_while_somebody_sweeps(folder):
        manifest = verify(folder)
        swept(five, keep=2)
        return manifest

    monkeypatch.setattr(store.snapshot, "verify", verify_while_somebody_sweeps)
    with open_snapshot(five, 1) as snapshot:
        assert snapshot.users.get(b"ann") == b"a"


def test_sweep_leaves_the_manifests(five):
    """Where a list came from can still be told when its snapshot is gone."""
    manifest = (snapshot_folder(five, 1) / "MANIFEST.json").read_bytes()
    swept(five, keep=3)
    assert sorted(path.name for path in (five / "manifests").iterdir()) == [
        "000001.json",
        "000002.json",
    ]
    assert (five / "manifests" / "000001.json").read_bytes() == manifest
    assert json.loads(manifest)["generation"] == 1


def test_sweep_ends_what_a_killed_sweep_began(five):
    """Half a snapshot, its manifest gone already, is removed by the next one."""
    (snapshot_folder(five, 1) / "MANIFEST.json").unlink()
    (snapshot_folder(five, 2) / "recs.mdb").unlink()
    assert swept(five, keep=3) == [1, 2]


def test_a_removed_generation_s_number_is_not_used_again(five):
    """The journal remembers what was published, though the directory is gone."""
    rollback(five, "go back", to=1)
    for generation in (2, 3, 4, 5):
        for path in snapshot_folder(five, generation).iterdir():
            path.unlink()
        snapshot_folder(five, generation).rmdir()
    assert make_snapshot(five, {"ann": ["a"]}, ["a"]) == 6


def test_an_unpublished_snapshot_s_number_is_not_used_again(five):
    """A snapshot that was never served has its number all the same."""
    assert make_snapshot(five, {"ann": ["a"]}, ["a"], flip=False) == 6
    assert make_snapshot(five, {"ann": ["b"]}, ["b"]) == 7
    assert [line.generation for line in journal(five)] == [1, 2, 3, 4, 5, 7]


def test_an_unpublished_snapshot_can_be_published_later(five):
    """It lies there, complete."""
    make_snapshot(five, {"ann": ["z"]}, ["z"], flip=False)
    with writing(five):
        publish(five, 6, "looked at by a person")
    with open_snapshot(five, current(five)) as snapshot:
        assert snapshot.users.get(b"ann") == b"z"
