"""`doctor`: each kind of problem is found, and the command that it prints fixes it."""

import fcntl
import json
import shlex
import shutil
import subprocess

import pytest

from store.doctor import problems
from store.fresh import FreshList, FreshWriter, fresh_file
from store.journal import write_journal
from store.layout import building_folder, snapshot_folder
from store.manifest import sha256
from store.publish import pin
from store.recent import RecentWriter, recent_file
from tests.snapshots import REFUSED_GATE, files_of, make_snapshot


def ran(done, status=0):
    """Return the output of a command that ended with `status`, and did not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


def damage_current(store):
    (snapshot_folder(store, 2) / "items.ann").write_bytes(b"x")


def damage_older(store):
    (snapshot_folder(store, 1) / "recs.mdb").write_bytes(b"x")


def lose_pointer(store):
    (store / "CURRENT").unlink()


def damage_pointer(store):
    (store / "CURRENT").write_text("many\n")


def lose_current(store):
    shutil.rmtree(snapshot_folder(store, 2))


def crash_a_build(store):
    building_folder(store, 3).mkdir()


def crash_a_flip(store):
    write_journal(store, 1, "rollback", "power cut")


def tear_the_journal(store):
    with (store / "JOURNAL").open("a") as file:
        file.write("2026-03-01T0")


def pin_to_nothing(store):
    pin(store, "wait")
    shutil.rmtree(snapshot_folder(store, 2))


def damage_pin(store):
    (store / "PIN").write_text("many\n")


def crash_a_pin(store):
    (store / "PIN").write_text("1\twait\n")


def damage_fresh_lists(store):
    """One list of two, beside a snapshot that cannot make any."""
    with FreshWriter(store) as writer:
        writer.put([(user, FreshList(2, 1.0, b"a,b"), b"") for user in (b"ann", b"bob")])
    content = fresh_file(store).read_bytes()
    fresh_file(store).write_bytes(content.replace(b"a,b", b"a,c", 1))


def cut_recent_views(store):
    with RecentWriter(store) as writer:
        writer.add([("ann", "a")])
    with recent_file(store).open("ab") as file:
        file.truncate(4096)  # one page of two that LMDB needs


PROBLEMS = [
    (damage_fresh_lists, "fresh lists: 1 of 2 are damaged, and are not served"),
    (cut_recent_views, "recent.mdb: cannot be opened"),
    (damage_current, "the current snapshot is damaged"),
    (damage_older, "an older snapshot is damaged"),
    (lose_pointer, "nothing has been published yet"),
    (damage_pointer, "does not hold a generation, but 'many'"),
    (lose_current, "generation 2 is current, but there is no such snapshot"),
    (crash_a_build, "is left over from a crashed build"),
    (crash_a_flip, "the journal has a rollback of generation 1"),
    (tear_the_journal, "the last line of the journal is torn"),
    (pin_to_nothing, "pinned to generation 2, which is missing"),
    (damage_pin, "PIN does not hold a generation"),
    (crash_a_pin, "pinned to generation 1, but another is current"),
]


def test_a_sound_store_is_0(two, command):
    """The store is not changed."""
    before = files_of(two)
    assert ran(command("doctor")) == "no problems found\n"
    assert ran(command("doctor", "--json")) == "[]\n"
    assert files_of(two) == before


@pytest.mark.parametrize(
    ("damage", "what"), PROBLEMS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_problem_is_named_and_is_1(two, command, damage, what):
    """As text and as JSON; the store is not changed."""
    damage(two)
    before = contents(two)
    assert what in ran(command("doctor"), 1)
    found = json.loads(ran(command("doctor", "--json"), 1))
    assert any(what in problem["what"] for problem in found)
    assert contents(two) == before


def contents(store):
    """Return the files but LMDB's locks, in which each reader has a slot."""
    return {name: text for name, text in files_of(store).items() if "-lock" not in str(name)}


def test_fresh_lists_need_files_for_folding_in(two, command):
    """Where a speed layer runs, a snapshot without them is a problem; the reason is named."""
    assert ran(command("doctor")) == "no problems found\n"
    with FreshWriter(two):
        pass
    what = "fresh lists: none of generation 2: it has no files for folding in"
    assert what in ran(command("doctor"), 1)


@pytest.mark.parametrize(
    ("damage", "what"), PROBLEMS, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_printed_command_fixes_the_problem(two, command, damage, what):
    """After a few commands the store is sound: a damaged current one becomes an older one first."""
    damage(two)
    for _ in range(4):
        found = json.loads(command("doctor", "--json").stdout)
        if not found:
            return
        follow(command, found[0]["fix"])
    pytest.fail(f"problems remain: {found}")


def follow(command, fix):
    prefix = "python -m store "
    if fix.startswith(prefix):
        ran(command(*shlex.split(fix.removeprefix(prefix).replace("…", "repaired"))))
    else:
        subprocess.run(fix, shell=True, check=True)


def test_an_empty_store_needs_a_refresh(command, store):
    """One problem, one command; the store is not created."""
    assert json.loads(ran(command("doctor", "--json"), 1)) == [
        {
            "what": f"{store}: nothing has been published yet; build one with "
            "`python -m batch refresh`, or look with `python -m store ls`",
            "fix": "python -m batch refresh",
        }
    ]
    assert not store.exists()


def test_a_refused_newest_snapshot_is_a_problem(two, command, refuse):
    """An older one is served."""
    refuse(two, make_snapshot(two, {"ann": ["a"]}, ["a"], flip=False))
    (line, fix) = ran(command("doctor"), 1).splitlines()
    assert "the gate refused generation 3" in line
    assert "python -m batch refresh" in fix


@pytest.fixture
def refuse():
    """Change the manifest of a snapshot: the gate refused it."""

    def change(store, generation):
        folder = snapshot_folder(store, generation)
        manifest = folder / "MANIFEST.json"
        old = sha256(manifest)
        about = json.loads(manifest.read_text()) | {"gate": REFUSED_GATE.as_json()}
        manifest.write_text(json.dumps(about))
        sums = folder / "SHA256SUMS"
        sums.write_text(sums.read_text().replace(old, sha256(manifest)))

    return change


def test_a_nearly_full_disk_is_a_problem(two, monkeypatch):
    """The next snapshot would not fit."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 999))
    (problem,) = problems(two)
    assert "the disk has 0.0 MB free" in problem.what
    assert problem.fix == "python -m store prune --keep 1"


@pytest.mark.parametrize("damage", [crash_a_build, crash_a_flip, tear_the_journal, crash_a_pin])
def test_the_files_of_a_running_build_are_not_a_problem(two, damage):
    """A writer holds the lock."""
    damage(two)
    assert list(problems(two)) != []
    with (two / "LOCK").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert list(problems(two)) == []


def test_a_pinned_store_with_a_damaged_current_is_pinned_elsewhere(two, command):
    """A rollback would be refused, so the printed command is a pin."""
    pin(two, "wait")
    damage_current(two)
    found = json.loads(ran(command("doctor", "--json"), 1))
    assert found[0]["fix"] == "python -m store pin --generation 1 --why …"
    follow(command, found[0]["fix"])
