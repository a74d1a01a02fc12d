"""Pushes and pulls that are cut off or killed: the current snapshot stays complete."""

import contextlib
import itertools
import random
import shutil
import subprocess
import sys
import threading

import pytest

from store.errors import (
    StoreError,
)
from store.layout import CHECKSUMS, DATA_FILES, MANIFEST, generations, snapshot_folder
from store.manifest import verify
from store.pointer import current, current_or_none
from store.publish import writing
from store.pull import pull
from store.remote import Remote
from tests.snapshots import make_snapshot
from tests.store.conftest import ROOT
from tests.store.replicas import (
    KEEP_ALL,
    assert_current_is_complete,
    pull_from,
    push_to,
    snapshot_files,
)

N_ROUNDS = 4  # of each test that kills
BIG = b"a large index" * 1_500_000  # 20 MB: a kill finds it half sent


class PowerCut(BaseException):
    """The machine stops here; no code catches this."""


def cut_at(monkeypatch, step):
    """Stop the machine at operation number `step` on the remote."""
    count = itertools.count(1)
    for name in ("read", "send", "stage", "commit", "remove", "names", "fetch"):
        real = getattr(Remote, name)

        def cut(self, *args, real=real):
            if next(count) == step:
                raise PowerCut
            return real(self, *args)

        monkeypatch.setattr(Remote, name, cut)


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_power_cut_at_every_step_leaves_a_complete_snapshot(two, there, node, verb):
    """Generation 1 or 2 is current, and the next run completes the transfer."""
    push_to(there, two, 1)
    pull_from(there, node)
    if verb == "pull":
        push_to(there, two)
    run, receiver = (
        (lambda: push_to(there, two), there)
        if verb == "push"
        else (lambda: pull_from(there, node), node)
    )
    before = shutil.copytree(receiver, receiver.with_name("before"))
    for step in itertools.count(1):
        shutil.rmtree(receiver)
        shutil.copytree(before, receiver)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(PowerCut):
            cut_at(patch, step)
            run()
            break
        assert_current_is_complete(receiver)
        assert current(receiver) in (1, 2)
        run()
        assert snapshot_files(receiver, 2) == snapshot_files(two, 2)
        assert current(receiver) == 2
    assert step >= 8


def test_an_interrupted_push_is_continued(two, there, monkeypatch):
    """Complete files are not sent again."""
    real = Remote.send
    sent: list[str] = []

    def send(self, file, name):
        sent.append(file.name)
        if len(sent) == 3:
            raise PowerCut
        real(self, file, name)

    monkeypatch.setattr(Remote, "send", send)
    with pytest.raises(PowerCut):
        push_to(there, two)
    push_to(there, two)
    assert len(sent) == 5
    assert sorted(set(sent)) == ["MANIFEST.json", "factors.mdb", "items.ann", "recs.mdb"]


def test_an_interrupted_pull_is_continued(two, there, node, monkeypatch):
    """Complete files are not fetched again, also after another writer."""
    push_to(there, two)
    real = Remote.fetch
    fetched: list[str] = []

    def fetch(self, name, file, *limits):
        fetched.append(file.name)
        if len(fetched) == 3:
            raise PowerCut
        real(self, name, file, *limits)

    monkeypatch.setattr(Remote, "fetch", fetch)
    with pytest.raises(PowerCut):
        pull_from(there, node)
    with writing(node):
        pass
    pull_from(there, node)
    assert len(fetched) == 5
    assert not (node / "pulling").exists()


def test_files_of_another_interrupted_push_are_replaced(two, there, tmp_path, monkeypatch):
    """Same number, names and sizes; the pending checksums differ."""
    other = tmp_path / "other"
    for index in (b"other of one", b"other of two"):
        make_snapshot(other, {"ann": ["b", "a"], "bob": ["d"]}, ["c", "a"], index=index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Remote, "commit", lambda *_: (_ for _ in ()).throw(PowerCut))
        with pytest.raises(PowerCut):
            push_to(there, other)
    assert (snapshot_folder(there, 2) / "items.ann").exists()
    push_to(there, two)
    assert snapshot_files(there, 2) == snapshot_files(two, 2)


class CutBeforeVerification(Remote):
    """Stops the machine when the last file of a snapshot has been fetched."""

    def fetch(self, name, file, *limits):
        super().fetch(name, file, *limits)
        if {path.name for path in file.parent.iterdir()} == {CHECKSUMS, MANIFEST, *DATA_FILES}:
            raise PowerCut


def test_files_of_another_interrupted_pull_are_replaced(two, there, node):
    """The remote has a newer snapshot by the next pull."""
    push_to(there, two, 1)
    with pytest.raises(PowerCut):
        pull(node, CutBeforeVerification(str(there)), KEEP_ALL)
    push_to(there, two, 2)
    pull_from(there, node)
    assert (current(node), generations(node)) == (2, [2])
    assert not (node / "pulling").exists()


def killed_at_random(rng, *arguments):
    """Start `python -m store …` and kill it at a random time of its first half second."""
    process = subprocess.Popen(
        [sys.executable, "-m", "store", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0.15, 0.5))
    process.kill()
    process.wait()


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_killed_run_leaves_a_complete_snapshot(two, there, node, verb):
    """SIGKILL at random times; the next run completes the transfer."""
    rng = random.Random(f"kill {verb}")
    push_to(there, two)
    pull_from(there, node)
    for index in range(N_ROUNDS):
        generation = make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"%d" % index + BIG)
        if verb == "push":
            sender, receiver, arguments = two, there, (two, "push", there)
        else:
            push_to(there, two)
            sender, receiver, arguments = there, node, (node, "pull", there)
        for _ in range(2):
            killed_at_random(rng, "--store", *arguments)
            assert_current_is_complete(receiver)
        push_to(there, two) if verb == "push" else pull_from(there, node)
        assert current(receiver) == generation
        assert snapshot_files(receiver, generation) == snapshot_files(sender, generation)


def test_a_reader_of_the_remote_finds_complete_snapshots(two, there):
    """It verifies the current snapshot during 24 pushes."""
    is_over = threading.Event()
    seen: set[int] = set()
    problems: list[str] = []

    def read():
        while not is_over.is_set():
            try:
                if (generation := current_or_none(there)) is not None:
                    verify(snapshot_folder(there, generation))
                    seen.add(generation)
                elif seen:
                    problems.append("no current")
            except StoreError as error:
                problems.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for index in range(12):
            make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"%d" % index * 100_000)
            push_to(there, two)
            push_to(there, two, 1)
    finally:
        is_over.set()
        reader.join()
    assert problems == []
    assert len(seen) > 2
