"""Forgetting a user: no snapshot has a record of them, and everybody else's are the same bytes."""

import contextlib
import fcntl
import json

import pytest

from store.doctor import problems
from store.errors import StoreError
from store.forget import forget
from store.journal import journal
from store.layout import MANIFEST, RECS, generations, snapshot_folder
from store.manifest import read_manifest, verify
from store.pointer import current, pinned
from store.publish import pin, rollback
from store.recent import RecentViews, RecentWriter
from store.snapshot import Table, open_factors, open_snapshot
from store.spool import Spool, SpoolLimits, spool_files, spool_folder
from store.writer import SnapshotWriter
from tests.snapshots import files_of, make_snapshot

USER = "ann"


@pytest.fixture
def store(tmp_path):
    """Generations 1, without the user, and 2 to 4 with them; 4 is current."""
    store = tmp_path / "store"
    make_snapshot(store, {"bob": ["c"], "eve": ["ann", "b"]}, ["b"])
    for first in ("a", "b", "d"):
        make_snapshot(
            store,
            {USER: [first, "c"], "bob": ["c"], "eve": ["ann", first]},
            ["b", "c"],
            spares={USER: ["e"], "bob": ["e"]},
            profiles={USER: "25-34/F", "bob": "25-34/M"},
        )
    return store


def records(store, generation):
    """Return every record of a snapshot, by table and key."""
    found: dict[tuple[str, bytes], bytes] = {}
    with (
        open_snapshot(store, generation) as snapshot,
        contextlib.closing(open_factors(snapshot)) as factors,
    ):
        for path in snapshot.manifest.counts:
            file, name = path.split("/")
            if file == RECS:
                table = getattr(snapshot, name)
            else:
                table = Table(factors.begin(db=factors.open_db(name.encode(), create=False)))
            found |= {(path, key): body for key, body in table}
    return found


def of_user(found):
    keys = (USER.encode(), b"u/" + USER.encode())
    tables = ("users", "spares", "profiles", "rating_users", "biases")
    return {(path, key) for path, key in found if path.split("/")[1] in tables and key in keys}


def test_user_is_in_no_snapshot_and_all_others_are_unchanged(store):
    """The item of the same name stays, too."""
    before = {number: records(store, number) for number in generations(store)}
    done = forget(store, [USER], "forget", 0)
    assert done.copies == {2: 5, 3: 6, 4: 7}
    assert generations(store) == [1, 5, 6, 7]
    for old, new in done.copies.items():
        gone = of_user(before[old])
        assert len(gone) == 6
        kept = {key: body for key, body in before[old].items() if key not in gone}
        assert records(store, new) == kept
    assert done.n_records == {USER: 18}
    assert records(store, 1) == before[1]


def test_copies_are_sound_and_served(store):
    """Checksums, counts and the doctor are content; a rollback goes to the parent's copy."""
    forget(store, [USER], "forget", 0)
    assert current(store) == 7
    for generation in generations(store):
        verify(snapshot_folder(store, generation))
    assert list(problems(store)) == []
    assert rollback(store, "look") == 6
    assert [read_manifest(snapshot_folder(store, n)).parent for n in (5, 6, 7)] == [1, 5, 6]


def test_manifest_and_journal_say_so_without_the_user(store):
    """When, from which generation and how much, but not whom."""
    forget(store, [USER], "forget", 0)
    manifest = read_manifest(snapshot_folder(store, 7))
    (note,) = manifest.parameters["forgotten"]
    assert note["from_generation"] == 4
    assert (note["n_users"], note["n_records"]) == (1, 6)
    assert USER not in json.dumps(note)
    assert journal(store)[-1][1:] == (7, "publish", "forget")
    assert (store / "manifests" / "000004.json").is_file()


def test_pinned_store_is_pinned_to_the_copy(store):
    """The reason of the pin stays."""
    pin(store, "festival", 3)
    forget(store, [USER], "forget", 0)
    held = pinned(store)
    assert held is not None
    assert (held.generation, held.why, current(store)) == (6, "festival", 6)
    assert list(problems(store)) == []


def test_open_snapshot_stays_and_is_reported(store):
    """A server that keeps it open keeps its files; the next run removes them."""
    with (snapshot_folder(store, 3) / MANIFEST).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as a server does
        done = forget(store, [USER], "forget", 0)
        assert (done.still_open, current(store)) == ([3], 7)
    assert forget(store, [USER], "forget", 0).still_open == []
    assert generations(store) == [1, 5, 6, 7]
    assert current(store) == 7


def test_unknown_user_changes_nothing(store):
    before = files_of(store)
    assert forget(store, ["zoe"], "forget", 0).n_records == {"zoe": 0}
    assert files_of(store) == before


@pytest.mark.parametrize("user", ["", "a b", "a/b", "x" * 65, "a\n"])
def test_malformed_user_is_refused(store, user):
    with pytest.raises(StoreError, match="not a valid user id"):
        forget(store, [USER, user], "forget", 0)
    assert generations(store) == [1, 2, 3, 4]


def test_damaged_snapshot_stays_and_is_reported(store):
    """It cannot be copied, and what it holds cannot be known."""
    (snapshot_folder(store, 2) / RECS).write_bytes(b"")
    done = forget(store, [USER], "forget", 0)
    assert (done.damaged, done.copies) == ([2], {3: 5, 4: 6})


@pytest.mark.parametrize("n_finished", [0, 1, 2])
def test_copies_that_fail_leave_the_store_as_it_was(store, monkeypatch, n_finished):
    """The first, the second or the third copy cannot be completed."""
    before = files_of(store)
    finish, n_calls = SnapshotWriter.finish, []

    def finish_some(writer, **about):
        n_calls.append(1)
        if len(n_calls) > n_finished:
            raise StoreError("disk", "is full")
        return finish(writer, **about)

    monkeypatch.setattr(SnapshotWriter, "finish", finish_some)
    with pytest.raises(StoreError, match="is full"):
        forget(store, [USER], "forget", 0)
    assert files_of(store) == before


@pytest.mark.parametrize("step", ["_serve_copy", "is_open"])
def test_interrupted_run_is_completed_by_the_next(store, monkeypatch, step):
    """Killed before the flip, or after it and before the removal."""

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(f"store.forget.{step}", kill)
        with pytest.raises(Killed):
            forget(store, [USER], "forget", 0)
    assert len(generations(store)) == 7
    forget(store, [USER], "forget", 0)
    assert len(generations(store)) == 4
    assert not any(of_user(records(store, number)) for number in generations(store))
    assert max(generations(store)) == current(store)
    assert list(problems(store)) == []


# --- the command --------------------------------------------------------------------------

LOG = (
    '{"time":"t","client":"::1","request":"GET /recommend/ann?n=5 HTTP/1.1","status":200}\n'
    '{"time":"t","client":"::1","request":"GET /recommend/anna HTTP/1.1","status":200}\n'
    '{"time":"t","client":"::1","request":"GET /recommend/%61nn HTTP/1.1","status":200}\n'
    '{"time":"t","client":"::1","request":"GET /predict?user=ann&item=b HTTP/1.1"}\n'
    '{"time":"t","client":"::1","request":"GET /recommend/bob HTTP/1.1","status":200}\n'
)


POSTED = (
    b"2026-02-14T00:09:21,ann,GET /rate/alien+1979=4\n"
    b"2026-02-14T00:09:21,bob,GET /data/m/ann/16.mpg\n"
)


def test_command_removes_recent_views_and_log_lines(store, command, tmp_path):
    """A log keeps its length, for the server goes on appending to it."""
    with RecentWriter(store) as recent:
        recent.add([("ann", "a"), ("bob", "b")])
    log = tmp_path / "var" / "log" / "access.log"
    log.parent.mkdir(parents=True)
    for name in ("access.log", "access.log.1"):
        log.with_name(name).write_text(LOG)
    Spool(spool_folder(store), SpoolLimits(1, 0)).append(POSTED)
    done = command("forget", "ann", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["records"], result["recent"], result["log_lines"]) == (18, 1, 7)
    (posted,) = spool_files(spool_folder(store))
    first, *others = posted.path.read_bytes().splitlines(keepends=True)
    assert (first.rstrip(b" \n"), len(first)) == (b"{}", POSTED.index(b"\n") + 1)
    assert b"".join(others) == POSTED[len(first) :]
    views = RecentViews(store)
    assert (views.get(b"ann"), views.get(b"bob")) == ([], [b"b"])
    views.close()
    lines = log.read_text().splitlines(keepends=True)
    assert [len(line) for line in lines] == [len(line) for line in LOG.splitlines(keepends=True)]
    assert [json.loads(line) for line in lines].count({}) == 3
    assert [lines[1], lines[4]] == [LOG.splitlines(keepends=True)[n] for n in (1, 4)]
    assert command("verify", "--all").returncode == 0
    assert command("doctor").returncode == 0


def test_command_says_that_a_user_is_unknown(store, command):
    """The others are forgotten all the same."""
    done = command("forget", "zoe", "ann")
    assert done.returncode == 1
    assert "zoe is unknown" in done.stderr
    assert "ann is unknown" not in done.stderr
    assert not of_user(records(store, current(store)))


def test_command_says_where_a_user_is_still_named(store, command):
    """The journal is not rewritten; a reason that would name the user is refused."""
    rollback(store, "lists of ann look wrong")
    done = command("forget", "ann")
    assert done.returncode == 1
    assert "JOURNAL: the reason of" in done.stderr
    done = command("forget", "bob", "--why", "bob wrote to us")
    assert done.returncode == 1
    assert "leave the id out" in done.stderr
    assert command("get", "bob").returncode == 0


def test_command_needs_a_store(python, tmp_path):
    """A mistyped path does not become a store."""
    done = python("-m", "store", "--store", tmp_path / "none", "forget", "ann")
    assert not (tmp_path / "none").exists()
    assert (done.returncode, "nothing has been published yet" in done.stderr) == (1, True)
