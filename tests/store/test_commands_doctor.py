"""`doctor`: each trouble is found, and the command that it names mends it."""

import fcntl
import json
import shlex
import shutil
import subprocess

import pytest

from store.doctor import troubles
from store.journal import write_journal
from store.layout import building_folder, snapshot_folder
from store.manifest import sha256
from store.publish import pin
from tests.snapshots import files_of, make_snapshot


def ran(done, status=0):
    """Return the output of a command that ended with `status`, and did not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def spoil_current(store):
    (snapshot_folder(store, 2) / "items.ann").write_bytes(b"x")


def spoil_kept(store):
    (snapshot_folder(store, 1) / "recs.mdb").write_bytes(b"x")


def lose_pointer(store):
    (store / "CURRENT").unlink()


def spoil_pointer(store):
    (store / "CURRENT").write_text("many\n")


def lose_current(store):
    shutil.rmtree(snapshot_folder(store, 2))


def crash_a_build(store):
    building_folder(store, 3).mkdir()


def crash_a_flip(store):
    write_journal(store, 1, "rollback", "the power went here")


def tear_the_journal(store):
    with (store / "JOURNAL").open("a") as file:
        file.write("2026-03-01T0")


def pin_to_nothing(store):
    pin(store, "wait")
    shutil.rmtree(snapshot_folder(store, 2))


def spoil_pin(store):
    (store / "PIN").write_text("many\n")


def crash_a_pin(store):
    (store / "PIN").write_text("1\twait\n")


TROUBLES = [
    (spoil_current, "the current is damaged"),
    (spoil_kept, "a kept snapshot is damaged"),
    (lose_pointer, "nothing has been published yet"),
    (spoil_pointer, "does not hold a generation, but 'many'"),
    (lose_current, "generation 2 is current, but there is no such snapshot"),
    (crash_a_build, "is left of a build that crashed"),
    (crash_a_flip, "the journal's rollback of generation 1"),
    (tear_the_journal, "the last line of the journal is torn"),
    (pin_to_nothing, "pinned to generation 2, which is missing"),
    (spoil_pin, "PIN does not hold a generation"),
    (crash_a_pin, "pinned to generation 1, but another is current"),
]


def test_a_sound_store_is_0(two, command):
    """Nothing is wrong, and nothing is changed."""
    before = files_of(two)
    assert ran(command("doctor")) == "all is well\n"
    assert ran(command("doctor", "--json")) == "[]\n"
    assert files_of(two) == before


@pytest.mark.parametrize(
    ("spoil", "what"), TROUBLES, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_trouble_is_named_and_is_1(two, command, spoil, what):
    """For people and for programs; looking changes nothing."""
    spoil(two)
    before = files_of(two)
    assert what in ran(command("doctor"), 1)
    found = json.loads(ran(command("doctor", "--json"), 1))
    assert any(what in trouble["what"] for trouble in found)
    assert files_of(two) == before


@pytest.mark.parametrize(
    ("spoil", "what"), TROUBLES, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_command_that_is_named_mends(two, command, spoil, what):
    """Done one after the other, the store is sound; a damaged current is kept then, and goes."""
    spoil(two)
    for _ in range(4):
        found = json.loads(command("doctor", "--json").stdout)
        if not found:
            return
        follow(command, found[0]["mend"])
    pytest.fail(f"still wrong: {found}")


def follow(command, mend):
    prefix = "python -m store "
    if mend.startswith(prefix):
        ran(command(*shlex.split(mend.removeprefix(prefix).replace("…", "mended"))))
    else:
        subprocess.run(mend, shell=True, check=True)


def test_an_empty_store_needs_a_refresh(command, store):
    """One trouble, one command; no store is made."""
    assert json.loads(ran(command("doctor", "--json"), 1)) == [
        {
            "what": f"{store}: nothing has been published yet; build one with "
            "`python -m batch refresh`, or look with `python -m store ls`",
            "mend": "python -m batch refresh",
        }
    ]
    assert not store.exists()


def test_a_refused_newest_snapshot_is_told(two, command, refuse):
    """The old one is served; somebody should know."""
    refuse(two, make_snapshot(two, {"ann": ["a"]}, ["a"], flip=False))
    (line, mend) = ran(command("doctor"), 1).splitlines()
    assert "the gate refused generation 3" in line
    assert "python -m batch refresh" in mend


@pytest.fixture
def refuse():
    """Make a snapshot one that its gate refused."""

    def change(store, generation):
        folder = snapshot_folder(store, generation)
        manifest = folder / "MANIFEST.json"
        old = sha256(manifest)
        about = json.loads(manifest.read_text()) | {"gate": {"result": "refused"}}
        manifest.write_text(json.dumps(about))
        sums = folder / "SHA256SUMS"
        sums.write_text(sums.read_text().replace(old, sha256(manifest)))

    return change


def test_a_full_disk_is_told_before_it_is_full(two, monkeypatch):
    """The next snapshot would not find room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 999))
    (trouble,) = troubles(two)
    assert "the disk has room for 0.0 MB" in trouble.what
    assert trouble.mend == "python -m store prune --keep 1"


@pytest.mark.parametrize("spoil", [crash_a_build, crash_a_flip, tear_the_journal, crash_a_pin])
def test_what_a_running_build_does_is_no_trouble(two, spoil):
    """While a writer holds the store, half of things is as it should be."""
    spoil(two)
    assert list(troubles(two)) != []
    with (two / "LOCK").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert list(troubles(two)) == []


def test_a_pinned_store_with_a_damaged_current_is_pinned_elsewhere(two, command):
    """A rollback would be refused; the command that is named is not."""
    pin(two, "wait")
    spoil_current(two)
    found = json.loads(ran(command("doctor", "--json"), 1))
    assert found[0]["mend"] == "python -m store pin --generation 1 --why …"
    follow(command, found[0]["mend"])
