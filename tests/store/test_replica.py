"""Push and pull through a directory: what is whole on one side is whole on the other, or is not
there. `test_replica_servers.py` has the same over HTTP and S3."""

import contextlib
import fcntl
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from store.config import StoreSettings
from store.errors import (
    IncompatibleSnapshotError,
    NotAnItemError,
    ReplicaError,
    StoreBusyError,
    StoreError,
)
from store.journal import journal
from store.layout import CHECKSUMS, generations, snapshot_folder
from store.manifest import verify
from store.pointer import current, current_or_none
from store.prune import prune
from store.publish import pin, rollback, unpin, writing
from store.pull import pull
from store.push import push
from store.remote import Remote
from store.takedown import restore, take_down, takedown_file, takedowns
from tests.snapshots import files_of, make_snapshot
from tests.store.conftest import ROOT

ROUNDS = 4  # of each kill test
KEEP_ALL = StoreSettings(keep=100)
BIG = b"a large index" * 1_500_000  # 20 MB: a kill finds it half sent


class PowerCut(BaseException):
    """The machine stops here; nothing in our code catches this."""


@pytest.fixture
def there(tmp_path):
    """The directory on the other side; nothing is there yet."""
    return tmp_path / "there"


@pytest.fixture
def node(tmp_path):
    """The store of another machine."""
    return tmp_path / "node"


def push_to(there, store, generation=None):
    return push(store, Remote(str(there)), generation)


def pull_from(there, node, settings=KEEP_ALL):
    return pull(node, Remote(str(there)), settings)


def snapshot_files(store, generation):
    return files_of(snapshot_folder(store, generation))


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def assert_nothing_half(store):
    """Whoever reads `CURRENT` finds a whole snapshot, before the first push nothing."""
    if (store / "CURRENT").exists():
        verify(snapshot_folder(store, current(store)))


# there and back


def test_a_snapshot_arrives_byte_for_byte(two, there, node):
    """Here, over there and on the node the same files are current, and nothing lies about."""
    push_to(there, two)
    done = pull_from(there, node)
    assert (done.generation, done.is_current, done.has_changed) == (2, True, True)
    assert current(two) == current(there) == current(node) == 2
    assert snapshot_files(two, 2) == snapshot_files(there, 2) == snapshot_files(node, 2)
    assert {path.name for path in node.iterdir()} == {"CURRENT", "JOURNAL", "LOCK", "snapshots"}
    assert {path.name for path in there.iterdir()} == {"CURRENT", "JOURNAL", "snapshots"}


def test_what_is_there_is_not_sent_again(two, there, node):
    """A second push and a second pull change nothing on either side."""
    assert push_to(there, two).n_bytes > 0
    pull_from(there, node)
    before = files_of(there), files_of(node)
    assert push_to(there, two).n_bytes == 0
    assert not pull_from(there, node).has_changed
    assert (files_of(there), files_of(node)) == before


def test_the_generation_asked_for_is_pushed(two, there):
    """Another than the current: a node of its own can try it."""
    push_to(there, two, 1)
    assert (current(there), generations(there)) == (1, [1])


def test_a_rollback_travels(two, there, node):
    """The older one is here already; the node flips as a rollback does."""
    for generation in (1, 2):
        push_to(there, two, generation)
        pull_from(there, node)
    rollback(two, "lists of 2 look wrong")
    push_to(there, two)
    pull_from(there, node)
    assert current(there) == current(node) == 1
    assert journal(node)[-1].what == "rollback"


def test_a_rollback_reaches_a_node_that_never_had_the_older_one(two, there, node):
    """It is fetched, and current."""
    push_to(there, two)
    pull_from(there, node)
    rollback(two, "lists of 2 look wrong")
    push_to(there, two)
    pull_from(there, node)
    assert (current(node), generations(node)) == (1, [1, 2])


# breaking off


def cut_at(monkeypatch, step):
    """Stop the machine at the n-th thing that a push or a pull asks of the other side."""
    count = itertools.count(1)
    for name in ("read", "send", "stage", "commit", "remove", "names", "fetch"):
        whole = getattr(Remote, name)

        def cut(self, *args, whole=whole):
            if next(count) == step:
                raise PowerCut
            return whole(self, *args)

        monkeypatch.setattr(Remote, name, cut)


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_cut_at_every_step_leaves_nothing_half(two, there, node, way):
    """Whichever step it is, 1 or 2 is current there; the next run ends what was begun."""
    push_to(there, two, 1)
    pull_from(there, node)
    if way == "pull":
        push_to(there, two)
    run, receiver = (
        (lambda: push_to(there, two), there)
        if way == "push"
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
        assert_nothing_half(receiver)
        assert current(receiver) in (1, 2)
        run()
        assert snapshot_files(receiver, 2) == snapshot_files(two, 2)
        assert current(receiver) == 2
    assert step >= 8


def test_a_push_goes_on_where_it_broke(two, there, monkeypatch):
    """What has arrived is not sent again."""
    whole = Remote.send
    sent = []

    def send(self, file, name):
        sent.append(file.name)
        if len(sent) == 3:
            raise PowerCut
        whole(self, file, name)

    monkeypatch.setattr(Remote, "send", send)
    with pytest.raises(PowerCut):
        push_to(there, two)
    push_to(there, two)
    assert len(sent) == 5
    assert sorted(set(sent)) == ["MANIFEST.json", "factors.mdb", "items.ann", "recs.mdb"]


def test_a_pull_goes_on_where_it_broke(two, there, node, monkeypatch):
    """What has come is not fetched again, not even after a writer has cleaned up."""
    push_to(there, two)
    whole = Remote.fetch
    fetched = []

    def fetch(self, name, file):
        fetched.append(file.name)
        if len(fetched) == 3:
            raise PowerCut
        whole(self, name, file)

    monkeypatch.setattr(Remote, "fetch", fetch)
    with pytest.raises(PowerCut):
        pull_from(there, node)
    with writing(node):
        pass
    pull_from(there, node)
    assert len(fetched) == 5
    assert not (node / "pulling").exists()


def test_the_rest_of_another_snapshot_is_no_start(two, there, tmp_path, monkeypatch):
    """Same number, same names, same sizes: only the checksums that are pending tell them apart."""
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


def test_what_came_of_another_snapshot_is_no_start(two, there, node, monkeypatch):
    """The node begins anew when the other side has moved on."""
    push_to(there, two, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.pull.verify", lambda *_: (_ for _ in ()).throw(PowerCut))
        with pytest.raises(PowerCut):
            pull_from(there, node)
    push_to(there, two, 2)
    pull_from(there, node)
    assert (current(node), generations(node)) == (2, [2])
    assert not (node / "pulling").exists()


def killed_at_random(rng, *arguments):
    """Start `python -m store …` and kill it somewhere in its first half second."""
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


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_killed_run_leaves_nothing_half(two, there, node, way):
    """SIGKILL at random times; then one run that is left alone ends it."""
    rng = random.Random(f"kill {way}")
    push_to(there, two)
    pull_from(there, node)
    for index in range(ROUNDS):
        generation = make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"%d" % index + BIG)
        if way == "push":
            sender, receiver, arguments = two, there, (two, "push", there)
        else:
            push_to(there, two)
            sender, receiver, arguments = there, node, (node, "pull", there)
        for _ in range(2):
            killed_at_random(rng, "--store", *arguments)
            assert_nothing_half(receiver)
        push_to(there, two) if way == "push" else pull_from(there, node)
        assert current(receiver) == generation
        assert snapshot_files(receiver, generation) == snapshot_files(sender, generation)


def test_a_reader_over_there_never_sees_a_half_snapshot(two, there):
    """It reads `CURRENT` and verifies what that names, all the while."""
    is_over = threading.Event()
    seen, wrong = set(), []

    def read():
        while not is_over.is_set():
            try:
                if (generation := current_or_none(there)) is not None:
                    verify(snapshot_folder(there, generation))
                    seen.add(generation)
                elif seen:
                    wrong.append("no current")
            except StoreError as error:
                wrong.append(error)

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
    assert wrong == []
    assert len(seen) > 2


# what must not become current


def no_checksums(there):
    (snapshot_folder(there, 2) / CHECKSUMS).unlink()


def a_flipped_bit(there):
    flip_a_bit(snapshot_folder(there, 2) / "recs.mdb")


def a_missing_file(there):
    (snapshot_folder(there, 2) / "factors.mdb").unlink()


def a_file_cut_short(there):
    with (snapshot_folder(there, 2) / "items.ann").open("r+b") as file:
        file.truncate(3)


def a_torn_manifest(there):
    (snapshot_folder(there, 2) / "MANIFEST.json").write_text('{"format_version": 1, "gen')


def no_such_snapshot(there):
    (there / "CURRENT").write_text("7\n")


def a_page_for_a_pointer(there):
    (there / "CURRENT").write_text("<html>not found</html>")


def an_empty_pointer(there):
    (there / "CURRENT").write_text("")


def the_wrong_name(there):
    shutil.rmtree(snapshot_folder(there, 2))
    shutil.copytree(snapshot_folder(there, 1), snapshot_folder(there, 2))


@pytest.mark.parametrize(
    "broken",
    [
        no_checksums,
        a_flipped_bit,
        a_missing_file,
        a_file_cut_short,
        a_torn_manifest,
        no_such_snapshot,
        a_page_for_a_pointer,
        an_empty_pointer,
        the_wrong_name,
    ],
)
def test_a_broken_remote_never_becomes_current(two, there, node, broken):
    """The error names the place over there; what was current stays, and only that."""
    push_to(there, two, 1)
    pull_from(there, node)
    push_to(there, two)
    sound = there.with_name("sound")
    shutil.copytree(there, sound)
    broken(there)
    with pytest.raises(ReplicaError, match=re.escape(str(there))):
        pull_from(there, node)
    assert (current(node), generations(node)) == (1, [1])
    shutil.rmtree(there)
    sound.rename(there)  # the twin: mended, it is pulled
    assert pull_from(there, node).is_current


def test_another_format_is_refused_before_its_gigabytes_come(two, there, node, monkeypatch):
    """The manifest comes first; no data file is fetched after it."""
    push_to(there, two)
    monkeypatch.setattr("store.manifest.FORMAT_VERSION", 2)
    with pytest.raises(IncompatibleSnapshotError, match="format version 1"):
        pull_from(there, node)
    assert list(node.rglob("*.mdb")) == []


def test_a_corrupt_snapshot_does_not_leave(two, there):
    """It is verified before anything of it is sent."""
    flip_a_bit(snapshot_folder(two, 2) / "recs.mdb")
    with pytest.raises(StoreError, match="SHA-256"):
        push_to(there, two)
    assert not there.exists()


def test_a_file_that_was_cut_short_over_there_is_sent_again(two, there):
    """Its size gives it away."""
    push_to(there, two)
    a_file_cut_short(there)
    push_to(there, two)
    assert snapshot_files(there, 2) == snapshot_files(two, 2)


@pytest.fixture
def stranger(tmp_path):
    """Another store, whose generation 1 is not ours."""
    stranger = tmp_path / "stranger"
    make_snapshot(stranger, {"eve": ["x"]}, ["x"])
    return stranger


def test_another_store_is_not_pushed_over_this_one(two, there, stranger):
    """Generation 1 is there, and is another: nothing is replaced."""
    push_to(there, two, 1)
    before = files_of(there)
    with pytest.raises(ReplicaError, match="another snapshot of that number"):
        push_to(there, stranger)
    assert files_of(there) == before


def test_another_store_is_not_pulled_over_this_one(two, there, stranger):
    """Nor the other way round."""
    push_to(there, stranger)
    with pytest.raises(ReplicaError, match="another snapshot than that of"):
        pull_from(there, two)
    assert current(two) == 2


def test_one_push_of_a_snapshot_at_a_time(two, there):
    """A second one would truncate files that the first has called whole."""
    with (snapshot_folder(two, 2) / CHECKSUMS).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreBusyError, match="is pushing"):
            push_to(there, two)
    push_to(there, two)


def test_one_pull_at_a_time(two, there, node):
    """Two would fetch into the same folder."""
    push_to(there, two)
    (node / "snapshots").mkdir(parents=True)
    descriptor = os.open(node / "snapshots", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(StoreBusyError, match="is pulling"):
        pull_from(there, node)
    os.close(descriptor)
    pull_from(there, node)


# takedowns


def test_a_takedown_travels_alone(two, there, node):
    """And its undoing; the journal of the node says both, and no snapshot moves."""
    push_to(there, two)
    pull_from(there, node)
    take_down(two, ["c"], "rights ended")
    assert push_to(there, two).n_bytes == 0
    assert pull_from(there, node).has_changed
    assert takedowns(node) == takedowns(two)
    assert (journal(node)[-1].what, journal(node)[-1].why.split(":")[0]) == ("takedown", "c")
    restore(two, ["c"], "bought again")
    push_to(there, two)
    pull_from(there, node)
    assert takedowns(node) == {}
    assert journal(node)[-1].what == "restore"


def test_the_removal_of_the_file_travels(two, there, node):
    """As it was before the first takedown."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two)
    pull_from(there, node)
    takedown_file(two).unlink()
    push_to(there, two)
    pull_from(there, node)
    assert not takedown_file(there).exists()
    assert not takedown_file(node).exists()


def test_a_takedown_arrives_before_a_snapshot_that_cannot(two, there, node):
    """On both ways: what is broken holds up no takedown."""
    push_to(there, two, 1)
    pull_from(there, node)
    take_down(two, ["c"], "rights ended")
    flip_a_bit(snapshot_folder(two, 2) / "recs.mdb")
    with pytest.raises(StoreError):
        push_to(there, two)
    no_such_snapshot(there)
    with pytest.raises(ReplicaError):
        pull_from(there, node)
    assert list(takedowns(node)) == ["c"]


@pytest.mark.parametrize("page", [b"<html>welcome</html>\n", b"c\tsince\twhy", b"\xff\n"])
def test_what_is_no_list_of_takedowns_replaces_none(two, there, node, page):
    """A page that some server gives for everything, a file cut short, a binary."""
    take_down(two, ["c"], "rights ended")
    push_to(there, two)
    pull_from(there, node)
    takedown_file(there).write_bytes(page)
    with pytest.raises((NotAnItemError, ReplicaError), match="is no list of takedowns"):
        pull_from(there, node)
    assert list(takedowns(node)) == ["c"]


# prune, pin


def test_what_is_pruned_here_is_pruned_there(two, there):
    """Its manifest is kept there too; a snapshot that was never here is left alone."""
    for generation in (1, 2):
        push_to(there, two, generation)
    shutil.copytree(snapshot_folder(there, 1), snapshot_folder(there, 900))
    make_snapshot(two, {"ann": ["a"]}, ["b"])
    with writing(two):
        assert prune(two, keep=1) == [1, 2]
    assert push_to(there, two).pruned == [1, 2]
    assert generations(there) == [3, 900]
    assert (there / "manifests" / "000001.json").exists()
    assert_nothing_half(there)


def test_a_pull_prunes_as_the_settings_say(two, there, node):
    """Two are kept: the current and the one before."""
    for index in range(3):
        make_snapshot(two, {"ann": ["a"]}, ["b"], index=b"%d" % index)
        push_to(there, two)
        pull_from(there, node, StoreSettings(keep=2))
    assert generations(node) == [4, 5]


def test_a_pin_here_holds(two, there, node):
    """The new one is fetched and kept, once; after `unpin` it is current."""
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


# the commands


def test_push_and_pull_say_what_they_did(two, there, node, command, python):
    """One line for people, an object for programs."""
    done = command("push", there)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("generation 2 is current there; ")
    done = python("-m", "store", "--store", node, "pull", there, "--json")
    assert done.stdout == '{"generation": 2, "is_current": true, "has_changed": true}\n'
    done = python("-m", "store", "--store", node, "pull", there)
    assert done.stdout == "generation 2 is current, as before\n"


def test_an_empty_place_is_1_and_makes_no_store(there, node, python):
    """A mistyped URL: nothing is made here."""
    done = python("-m", "store", "--store", node, "pull", there)
    assert done.returncode == 1
    assert "nothing has been pushed there yet" in done.stderr
    assert not node.exists()


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_what_nothing_speaks_is_one_line(two, command, verb):
    """The protocol is named."""
    done = command(verb, "gopher://host/marquee")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "gopher" in done.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_watching_wants_a_time(two, there, command, seconds):
    """Anything else is wrong usage."""
    assert command("pull", there, f"--watch={seconds}").returncode == 2


_WITHOUT = """
import sys
sys.modules |= dict.fromkeys(sys.argv[1].split(","))
from store.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("missing", "url"),
    [("fsspec,fsspec.core", "/anywhere"), ("s3fs", "s3://b/m"), ("aiohttp", "http://host/m")],
)
@pytest.mark.parametrize("arguments", [["pull"], ["pull", "--watch=1"]])
def test_a_missing_extra_is_named(two, python, missing, url, arguments):
    """Also when watching: waiting would not install it."""
    done = python("-c", _WITHOUT, missing, "--store", two, *arguments, url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the extra `replica` brings it: pip install" in done.stderr


def test_nothing_else_loads_fsspec(two, python):
    """Looking at a store and importing both verbs work without the extra."""
    done = python("-c", _WITHOUT, "fsspec,fsspec.core,s3fs,aiohttp", "--store", two, "ls")
    assert done.returncode == 0


@pytest.fixture
def watching(two, there, node):
    """`pull --watch` as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "store", "--store", node, "pull", there, "--watch", "0.05"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def eventually(is_so, seconds=10):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_watching_picks_up_what_is_published(two, there, node, watching):
    """It waits for the first push, lives through a remote that is gone, and ends at SIGTERM."""
    push_to(there, two, 1)
    eventually(lambda: current_or_none(node) == 1)
    away = there.rename(there.with_name("away"))
    time.sleep(0.5)
    away.rename(there)
    push_to(there, two)
    eventually(lambda: current_or_none(node) == 2)
    take_down(two, ["c"], "rights ended")
    push_to(there, two)
    eventually(lambda: list(takedowns(node)) == ["c"])
    watching.send_signal(signal.SIGTERM)
    _, log = watching.communicate(timeout=10)
    assert watching.returncode == 0
    assert "Traceback" not in log
    assert log.count("nothing has been pushed there") <= 2  # a line when it starts, not a poll
    assert "generation 2 of" in log
