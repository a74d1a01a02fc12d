import json
import signal
import subprocess
import sys

import pytest

from store.journal import journal
from store.layout import generations, snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.prune import prune
from store.publish import publish, rollback, writing
from store.snapshot import open_snapshot
from tests.snapshots import REFUSED_GATE, files_of, make_snapshot

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


def pruned(store, keep):
    with writing(store):
        return prune(store, keep)


def test_prune_keeps_the_newest(five):
    """Of five generations two are kept; the removed ones are returned."""
    assert pruned(five, keep=2) == [1, 2, 3]
    assert generations(five) == [4, 5]


def test_refused_snapshots_do_not_count(store):
    """After three good ones and two refused: two good ones and the newest refused are kept."""
    for _ in range(3):
        make_snapshot(store, {"ann": ["a"]}, ["a"])
    for _ in range(2):
        generation = make_snapshot(store, {"ann": ["a"]}, ["a"], flip=False)
        manifest = snapshot_folder(store, generation) / "MANIFEST.json"
        about = json.loads(manifest.read_text()) | {"gate": REFUSED_GATE.as_json()}
        manifest.write_text(json.dumps(about))
    assert pruned(store, keep=2) == [1, 4]
    assert generations(store) == [2, 3, 5]


def test_prune_below_the_limit_removes_nothing(five):
    """The store is unchanged."""
    before = files_of(five)
    assert pruned(five, keep=5) == pruned(five, keep=6) == []
    assert files_of(five) == before


def test_prune_keeps_an_old_current_one(five):
    """After a rollback to 1."""
    rollback(five, "go back", to=1)
    assert pruned(five, keep=2) == [2, 3]
    assert generations(five) == [1, 4, 5]
    assert current(five) == 1


def test_prune_keeps_an_open_snapshot(five):
    """It is removed by the next run after it was closed."""
    with open_snapshot(five, 2) as snapshot:
        assert pruned(five, keep=2) == [1, 3]
        assert snapshot.users.get(b"ann") == b"a"
    assert pruned(five, keep=2) == [2]


def test_prune_keeps_a_snapshot_that_another_process_has_open(five):
    """Killing the reader releases it."""
    arguments = [sys.executable, "-c", HOLD_OPEN, str(five)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "open\n"
            assert pruned(five, keep=2) == [2, 3]
        finally:
            reader.send_signal(signal.SIGKILL)
    assert pruned(five, keep=2) == [1]


def test_a_snapshot_is_locked_before_its_verification(five, monkeypatch):
    """A prune between verification and opening keeps it."""

    def verify_then_prune(*arguments):
        manifest = verify(*arguments)
        pruned(five, keep=2)
        return manifest

    monkeypatch.setattr("store.snapshot.verify", verify_then_prune)
    with open_snapshot(five, 1) as snapshot:
        assert snapshot.users.get(b"ann") == b"a"


def test_prune_keeps_the_manifests(five):
    """They stay in `manifests/`, unchanged."""
    manifest = (snapshot_folder(five, 1) / "MANIFEST.json").read_bytes()
    pruned(five, keep=3)
    assert sorted(path.name for path in (five / "manifests").iterdir()) == [
        "000001.json",
        "000002.json",
    ]
    assert (five / "manifests" / "000001.json").read_bytes() == manifest
    assert json.loads(manifest)["generation"] == 1


def test_prune_completes_an_interrupted_one(five):
    """A snapshot that has lost files is removed."""
    (snapshot_folder(five, 1) / "MANIFEST.json").unlink()
    (snapshot_folder(five, 2) / "recs.mdb").unlink()
    assert pruned(five, keep=3) == [1, 2]


def test_a_removed_generation_s_number_is_not_used_again(five):
    """The journal has the numbers of removed generations."""
    rollback(five, "go back", to=1)
    for generation in (2, 3, 4, 5):
        for path in snapshot_folder(five, generation).iterdir():
            path.unlink()
        snapshot_folder(five, generation).rmdir()
    assert make_snapshot(five, {"ann": ["a"]}, ["a"]) == 6


def test_an_unpublished_snapshot_s_number_is_not_used_again(five):
    """Also of a snapshot that was never served."""
    assert make_snapshot(five, {"ann": ["a"]}, ["a"], flip=False) == 6
    assert make_snapshot(five, {"ann": ["b"]}, ["b"]) == 7
    assert [line.generation for line in journal(five)] == [1, 2, 3, 4, 5, 7]


def test_an_unpublished_snapshot_can_be_published_later(five):
    """It becomes current."""
    make_snapshot(five, {"ann": ["z"]}, ["z"], flip=False)
    with writing(five):
        publish(five, 6, "inspected")
    with open_snapshot(five, current(five)) as snapshot:
        assert snapshot.users.get(b"ann") == b"z"
